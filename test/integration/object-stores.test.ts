import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { FakeClock } from "../fakes/fake-clock.ts";
import { needs } from "../support/needs.ts";
import { openTestDatabase, openTestResponseStore } from "../support/objects.ts";
import { hasPostgres, startPostgres, type TestPostgres } from "../support/postgres.ts";
import { responseStoreContract, storedResponse } from "./response-store-contract.ts";

let postgres: TestPostgres;

// proves: responses.stored
responseStoreContract("SQLite", (clock) => openTestResponseStore({ keepDays: 1 }, { clock }));

describe("PostgreSQL", { ...needs("PostgreSQL", hasPostgres), timeout: 90_000 }, () => {
  before(async () => {
    postgres = await startPostgres();
  });
  after(() => postgres.close());
  // proves: responses.stored
  responseStoreContract("PostgreSQL", async (clock, t) => {
    const database = openTestDatabase(await postgres.makeDatabase());
    t.after(() => database.close());
    return openTestResponseStore({ keepDays: 1 }, { clock, database });
  });
});

describe("a store of responses that is full", () => {
  const bytesOfOne = Buffer.byteLength(JSON.stringify(storedResponse("r1")));
  const kept = async (store: ReturnType<typeof openTestResponseStore>, tenant: string, ids: readonly string[]) => {
    const found = await Promise.all(ids.map(async (id) => ((await store.get(tenant, id)) === undefined ? [] : [id])));
    return found.flat();
  };

  it("gives up the oldest of who has most", async () => {
    for (const limits of [{ answersMax: 4 }, { bytesMax: 4 * bytesOfOne }]) {
      const clock = new FakeClock();
      const store = openTestResponseStore(limits, { clock });
      for (const id of ["r1", "r2", "r3"]) {
        await store.put("a", storedResponse(id));
        await clock.tick(1);
      }
      await store.put("b", storedResponse("r1"));
      await store.put("b", storedResponse("r2"));
      assert.deepEqual(await kept(store, "a", ["r1", "r2", "r3"]), ["r2", "r3"]);
      assert.deepEqual(await kept(store, "b", ["r1", "r2"]), ["r1", "r2"]);
      assert.equal(await store.item("a", "msg_in_r1"), undefined);
    }
  });

  it("does not take what is larger than one may be", async () => {
    const store = openTestResponseStore({ answerBytesMax: bytesOfOne - 1 });
    assert.equal(await store.put("a", storedResponse("r1")), false);
    assert.equal(await store.get("a", "r1"), undefined);
  });

  it("counts right over replacing and deleting", async () => {
    const store = openTestResponseStore({ answersMax: 2 });
    for (let turn = 0; turn < 5; turn++) {
      await store.put("a", storedResponse("r1"));
      await store.put("a", storedResponse("r1"));
      await store.put("b", storedResponse("r2"));
      assert.ok(await store.delete("b", "r2"));
    }
    await store.put("b", storedResponse("r2"));
    assert.deepEqual([...(await kept(store, "a", ["r1"])), ...(await kept(store, "b", ["r2"]))], ["r1", "r2"]);
  });
});
