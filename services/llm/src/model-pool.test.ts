import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NexusError } from "nexus/base";
import { ModelPool } from "./model-pool.ts";

const forever = new AbortController().signal;

/** A pool of models that open when told to. */
function fakePool(loadedMax: number, open = async (_id: string): Promise<void> => {}) {
  const events: string[] = [];
  const pool = new ModelPool({
    loadedMax,
    onChange: () => {},
    async open(id) {
      await open(id);
      events.push(`open ${id}`);
      return {
        id,
        dispose: async () => {
          events.push(`close ${id}`);
        },
      };
    },
  });
  return { pool, events };
}

describe("the model pool", { timeout: 60_000 }, () => {
  it("opens a model once for many", async () => {
    const { pool, events } = fakePool(1);
    const leases = await Promise.all([1, 2, 3].map(() => pool.acquire("a", forever)));
    assert.deepEqual(events, ["open a"]);
    assert.equal(pool.state("a"), "loaded");
    for (const lease of leases) lease.release();
  });

  it("closes the idle one that was used longest ago", async () => {
    const { pool, events } = fakePool(2);
    for (const id of ["a", "b", "a"]) (await pool.acquire(id, forever)).release();
    (await pool.acquire("c", forever)).release();
    assert.deepEqual(events, ["open a", "open b", "close b", "open c"]);
    assert.equal(pool.state("b"), "available");
  });

  it("never closes one in use: whoever needs the room waits", async () => {
    const { pool, events } = fakePool(1);
    const held = await pool.acquire("a", forever);
    const waiting = pool.acquire("b", forever);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(events, ["open a"]);
    held.release();
    held.release();
    assert.equal((await waiting).model.id, "b");
    assert.deepEqual(events, ["open a", "close a", "open b"]);
  });

  it("lets a waiter leave, and the load go on for others", async () => {
    let finish = (): void => {};
    const { pool } = fakePool(1, () => new Promise((resolve) => (finish = resolve)));
    const controller = new AbortController();
    const impatient = pool.acquire("a", controller.signal);
    const patient = pool.acquire("a", forever);
    assert.equal(pool.state("a"), "loading");
    controller.abort(new Error("left"));
    await assert.rejects(impatient, /left/);
    finish();
    assert.equal((await patient).model.id, "a");
  });

  it("forgets a model that cannot be opened", async () => {
    let isBroken = true;
    const { pool } = fakePool(1, async () => {
      if (isBroken) throw new Error("broken");
    });
    await assert.rejects(pool.acquire("a", forever), /broken/);
    isBroken = false;
    assert.equal((await pool.acquire("a", forever)).model.id, "a");
  });

  it("makes room in memory when a model does not fit beside idle ones", async () => {
    const { pool, events } = fakePool(2, async (id) => {
      if (id === "big" && !events.includes("close small")) throw new NexusError("no_instance_available", "too big");
    });
    (await pool.acquire("small", forever)).release();
    assert.equal((await pool.acquire("big", forever)).model.id, "big");
    assert.deepEqual(events, ["open small", "close small", "open big"]);
  });

  it("closes everything at the end", async () => {
    const { pool, events } = fakePool(2);
    (await pool.acquire("a", forever)).release();
    await pool.close();
    assert.deepEqual(events, ["open a", "close a"]);
    await assert.rejects(pool.acquire("a", forever), { code: "draining" });
  });
});
