import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ResponseStore, StoredResponse } from "../../src/translate/response-store.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

/** A stored answer whose items are named after it. */
export function storedResponse(id: string, previousId: string | null = null): StoredResponse {
  return {
    id,
    previousId,
    response: {
      id,
      object: "response",
      output: [
        { id: `msg_out_${id}`, type: "message", role: "assistant", content: [{ type: "output_text", text: id }] },
      ],
    },
    input: [
      { id: `msg_in_${id}`, type: "message", role: "user", content: [{ type: "input_text", text: "Zürich 🌍" }] },
    ],
  };
}

/** What every store of responses promises, whatever it keeps them in. */
export function responseStoreContract(
  name: string,
  open: (clock: FakeClock, keepMs: number) => Promise<ResponseStore> | ResponseStore,
): void {
  const keepMs = 60_000;
  const start = async () => {
    const clock = new FakeClock();
    return { clock, store: await open(clock, keepMs) };
  };

  describe(`response store: ${name}`, () => {
    it("gives back what was put, and a newer one in its place", async () => {
      const { store } = await start();
      assert.equal(await store.put("a", storedResponse("r1")), true);
      assert.deepEqual(await store.get("a", "r1"), storedResponse("r1"));
      await store.put("a", storedResponse("r1", "r0"));
      assert.equal((await store.get("a", "r1"))?.previousId, "r0");
      assert.equal(await store.get("a", "r2"), undefined);
    });

    it("keeps what others change afterwards as it was", async () => {
      const { store } = await start();
      const mine = structuredClone(storedResponse("r1")) as { response: { status?: string } } & StoredResponse;
      await store.put("a", mine);
      mine.response.status = "changed";
      const got = (await store.get("a", "r1")) as typeof mine;
      got.response.status = "changed";
      assert.deepEqual((await store.get("a", "r1"))?.response, storedResponse("r1").response);
    });

    it("shows no tenant what another one has", async () => {
      const { store } = await start();
      await store.put("a", storedResponse("r1"));
      assert.equal(await store.get("b", "r1"), undefined);
      assert.equal(await store.item("b", "msg_in_r1"), undefined);
      assert.equal(await store.delete("b", "r1"), false);
      await store.put("b", { ...storedResponse("r1"), previousId: "b" });
      assert.equal((await store.get("a", "r1"))?.previousId, null);
      assert.equal(await store.delete("b", "r1"), true);
      assert.ok(await store.get("a", "r1"));
    });

    it("finds items of input and output until their answer is deleted", async () => {
      const { store } = await start();
      await store.put("a", storedResponse("r1"));
      assert.deepEqual(await store.item("a", "msg_in_r1"), storedResponse("r1").input[0]);
      assert.equal((await store.item("a", "msg_out_r1"))?.role, "assistant");
      assert.equal(await store.delete("a", "r1"), true);
      assert.equal(await store.item("a", "msg_in_r1"), undefined);
      assert.equal(await store.delete("a", "r1"), false);
      for (const [left, kept] of [
        ["r1", "r2"],
        ["r2", "r1"],
      ] as const) {
        for (const id of ["r1", "r2"])
          await store.put("a", { ...storedResponse(id), input: storedResponse("both").input });
        await store.delete("a", left);
        assert.ok(await store.item("a", "msg_in_both"), `only ${kept} has it`);
        await store.delete("a", kept);
        assert.equal(await store.item("a", "msg_in_both"), undefined);
      }
    });

    it("forgets what is too old", async () => {
      const { store, clock } = await start();
      await store.put("a", storedResponse("r1"));
      await clock.tick(keepMs - 1);
      assert.ok(await store.get("a", "r1"));
      await clock.tick(1);
      assert.equal(await store.get("a", "r1"), undefined);
      assert.equal(await store.item("a", "msg_in_r1"), undefined);
    });
  });
}
