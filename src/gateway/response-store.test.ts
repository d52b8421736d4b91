import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { responseStoreContract, storedResponse } from "../../test/integration/response-store-contract.ts";
import { createMemoryResponseStore, responseStoreLimits } from "./response-store.ts";

responseStoreContract("memory", (clock, keepMs) =>
  createMemoryResponseStore(clock, { ...responseStoreLimits, keepMs }),
);

describe("response store: memory limits", () => {
  const bytesOfOne = Buffer.byteLength(JSON.stringify(storedResponse("r1")));
  const store = (limits: Partial<typeof responseStoreLimits>) =>
    createMemoryResponseStore(new FakeClock(), { ...responseStoreLimits, ...limits });
  const kept = async (one: ReturnType<typeof store>, tenant: string, ids: readonly string[]) => {
    const found = await Promise.all(ids.map(async (id) => ((await one.get(tenant, id)) === undefined ? [] : [id])));
    return found.flat();
  };

  it("gives up the oldest of who has most", async () => {
    for (const limits of [{ responsesMax: 4 }, { bytesMax: 4 * bytesOfOne }]) {
      const one = store(limits);
      for (const id of ["r1", "r2", "r3"]) await one.put("a", storedResponse(id));
      await one.put("b", storedResponse("r1"));
      await one.put("b", storedResponse("r2"));
      assert.deepEqual(await kept(one, "a", ["r1", "r2", "r3"]), ["r2", "r3"]);
      assert.deepEqual(await kept(one, "b", ["r1", "r2"]), ["r1", "r2"]);
      assert.equal(await one.item("a", "msg_in_r1"), undefined);
    }
  });

  it("does not take what is larger than one may be", async () => {
    const one = store({ responseBytesMax: bytesOfOne - 1 });
    assert.equal(await one.put("a", storedResponse("r1")), false);
    assert.equal(await one.get("a", "r1"), undefined);
  });

  it("counts right over replacing and deleting", async () => {
    const one = store({ responsesMax: 2 });
    for (let turn = 0; turn < 5; turn++) {
      await one.put("a", storedResponse("r1"));
      await one.put("a", storedResponse("r1"));
      await one.put("b", storedResponse("r2"));
      assert.ok(await one.delete("b", "r2"));
    }
    await one.put("b", storedResponse("r2"));
    assert.deepEqual([...(await kept(one, "a", ["r1"])), ...(await kept(one, "b", ["r2"]))], ["r1", "r2"]);
  });
});
