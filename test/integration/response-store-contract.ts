import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { ResponseStore, StoredResponse } from "../../src/translate/response-store.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

/** A stored answer whose items are named after it. */
export function storedResponse(id: string, previousId: string | null = null): StoredResponse {
  const said = [{ type: "output_text", text: id }];
  const asked = [{ type: "input_text", text: "Zürich 🌍" }];
  return {
    id,
    previousId,
    response: {
      id,
      object: "response",
      output: [{ id: `msg_out_${id}`, type: "message", role: "assistant", content: said }],
    },
    input: [{ id: `msg_in_${id}`, type: "message", role: "user", content: asked }],
  };
}

/** An empty store, and the clock that decides what is too old. */
interface StoreUnderTest {
  readonly store: ResponseStore;
  readonly clock: FakeClock;
}

/** How long the suite's stores keep an answer: a day. */
const keepMs = 86_400_000;

/** Every test fails rather than hangs. */
const limit = { timeout: 60_000 };

const promises: Readonly<Record<string, (under: StoreUnderTest) => Promise<void>>> = {
  async "gives back what was put, and a newer one in its place"({ store }) {
    assert.equal(await store.put("a", storedResponse("r1")), true);
    assert.deepEqual(await store.get("a", "r1"), storedResponse("r1"));
    await store.put("a", storedResponse("r1", "r0"));
    assert.equal((await store.get("a", "r1"))?.previousId, "r0");
    assert.equal(await store.get("a", "r2"), undefined);
  },

  async "replaces what is there, its items with it, and nothing that is not"({ store }) {
    assert.equal(await store.replace("a", storedResponse("r1")), false);
    assert.equal(await store.get("a", "r1"), undefined);
    await store.put("a", storedResponse("r1"));
    await store.put("b", storedResponse("r1"));
    const later = { ...storedResponse("r2"), id: "r1" };
    assert.equal(await store.replace("a", later), true);
    assert.deepEqual(await store.get("a", "r1"), later);
    assert.equal(await store.item("a", "msg_in_r1"), undefined);
    assert.ok(await store.item("a", "msg_in_r2"));
    assert.deepEqual(await store.get("b", "r1"), storedResponse("r1"));
    await store.delete("a", "r1");
    assert.equal(await store.replace("a", later), false);
    assert.equal(await store.get("a", "r1"), undefined);
  },

  async "has nothing left of what is deleted while it is replaced"({ store }) {
    for (let round = 0; round < 20; round++) {
      const stored = storedResponse(`r${round}`);
      await store.put("a", stored);
      const replacing = [store.replace("a", stored), store.replace("a", stored)];
      const [wasThere] = await Promise.all([store.delete("a", stored.id), ...replacing]);
      assert.equal(wasThere, true);
      assert.equal(await store.get("a", stored.id), undefined);
      assert.equal(await store.item("a", `msg_in_r${round}`), undefined);
    }
  },

  async "keeps what others change afterwards as it was"({ store }) {
    const mine = structuredClone(storedResponse("r1")) as { response: { status?: string } } & StoredResponse;
    await store.put("a", mine);
    mine.response.status = "changed";
    const got = (await store.get("a", "r1")) as typeof mine;
    got.response.status = "changed";
    assert.deepEqual((await store.get("a", "r1"))?.response, storedResponse("r1").response);
  },

  async "shows no tenant what another one has"({ store }) {
    await store.put("a", storedResponse("r1"));
    assert.equal(await store.get("b", "r1"), undefined);
    assert.equal(await store.item("b", "msg_in_r1"), undefined);
    assert.equal(await store.delete("b", "r1"), false);
    await store.put("b", storedResponse("r1", "b"));
    assert.equal((await store.get("a", "r1"))?.previousId, null);
    assert.equal(await store.delete("b", "r1"), true);
    assert.ok(await store.get("a", "r1"));
  },

  async "finds items of input and output until their answer is deleted"({ store }) {
    await store.put("a", storedResponse("r1"));
    assert.deepEqual(await store.item("a", "msg_in_r1"), storedResponse("r1").input[0]);
    assert.equal((await store.item("a", "msg_out_r1"))?.role, "assistant");
    assert.equal(await store.delete("a", "r1"), true);
    assert.equal(await store.item("a", "msg_in_r1"), undefined);
    assert.equal(await store.delete("a", "r1"), false);
  },

  async "finds items of several answers as long as one of these is there"({ store }) {
    const { input } = storedResponse("both");
    for (const order of [
      ["r1", "r2"],
      ["r2", "r1"],
    ] as const) {
      for (const id of ["r1", "r2"]) await store.put("a", { ...storedResponse(id), input });
      await store.delete("a", order[0]);
      assert.ok(await store.item("a", "msg_in_both"), `${order[1]} has it, too`);
      await store.delete("a", order[1]);
      assert.equal(await store.item("a", "msg_in_both"), undefined);
    }
  },

  async "forgets what is too old"({ store, clock }) {
    await store.put("a", storedResponse("r1"));
    await clock.tick(keepMs - 1);
    assert.ok(await store.get("a", "r1"));
    await clock.tick(1);
    assert.equal(await store.get("a", "r1"), undefined);
    assert.equal(await store.item("a", "msg_in_r1"), undefined);
  },
};

/** What every store of responses promises, whatever database it is in. `open` answers an empty one that keeps a day. */
export function responseStoreContract(
  name: string,
  open: (clock: FakeClock, t: TestContext) => Promise<ResponseStore> | ResponseStore,
): void {
  describe(`response store: ${name}`, () => {
    for (const [promise, check] of Object.entries(promises)) {
      it(promise, limit, async (t) => {
        const clock = new FakeClock();
        await check({ store: await open(clock, t), clock });
      });
    }
  });
}
