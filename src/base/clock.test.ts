import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { pause } from "./clock.ts";

test("a pause ends with its time or its signal, and leaves nothing behind", async () => {
  const clock = new FakeClock();
  const { signal } = new AbortController();
  const whole = pause(clock, 1_000, signal);
  assert.equal(clock.pending, 1);
  await clock.tick(1_000);
  await whole;
  assert.deepEqual([clock.pending, getEventListeners(signal, "abort").length], [0, 0]);

  const leaving = new AbortController();
  const cut = pause(clock, 1_000, leaving.signal);
  leaving.abort();
  await cut;
  await pause(clock, 1_000, leaving.signal);
  assert.equal(clock.pending, 0);
});
