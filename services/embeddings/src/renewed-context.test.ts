import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../../test/fakes/fake-clock.ts";
import { openRenewedContext } from "./renewed-context.ts";

function contexts() {
  const clock = new FakeClock();
  const open: number[] = [];
  let made = 0;
  const make = async () => {
    const id = made++;
    open.push(id);
    return { id, dispose: async () => void open.splice(open.indexOf(id), 1) };
  };
  return { clock, open, make };
}

test("long inputs share a context, and when they have stopped coming a new one takes its place", async () => {
  const { clock, open, make } = contexts();
  const context = await openRenewedContext(make, clock);
  const read = (tokens: number) => context.use(tokens, async ({ id }) => id);
  assert.equal(await read(500), 0);
  await clock.tick(29_000);
  assert.equal(await read(500), 0, "another one in time finds the room of the last");
  await clock.tick(29_000);
  assert.equal(await read(8), 0, "a short one does not put it off");
  await clock.tick(1_000);
  assert.deepEqual(open, [1]);
  assert.equal(context.current().id, 1);
  assert.equal(await read(8), 1);
  assert.equal(clock.pending, 0, "short ones leave nothing to give back");
});

test("a context is not taken away from who is using it", async () => {
  const { clock, open, make } = contexts();
  const context = await openRenewedContext(make, clock);
  await context.use(500, async () => {});
  const held = Promise.withResolvers<void>();
  const using = context.use(8, async ({ id }) => {
    await held.promise;
    return open.includes(id);
  });
  await clock.tick(30_000);
  assert.deepEqual(open, [0]);
  held.resolve();
  assert.equal(await using, true);
  await clock.tick(0);
  assert.deepEqual(open, [1]);
});

test("an input that fails keeps neither the next one waiting nor the memory", async () => {
  const { clock, open, make } = contexts();
  const context = await openRenewedContext(make, clock);
  await assert.rejects(
    context.use(500, () => Promise.reject(new Error("no room"))),
    /no room/,
  );
  assert.equal(await context.use(8, async ({ id }) => id), 0);
  await clock.tick(30_000);
  assert.deepEqual(open, [1]);
});

test("a new context that cannot be had leaves the old one in use", async () => {
  const { clock, open, make } = contexts();
  let fails = false;
  const context = await openRenewedContext(() => (fails ? Promise.reject(new Error("no room")) : make()), clock);
  await context.use(500, async () => {});
  fails = true;
  await clock.tick(30_000);
  assert.deepEqual(open, [0]);
  assert.equal(await context.use(8, async ({ id }) => id), 0);
});
