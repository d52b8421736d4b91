import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { listenToInterrupts } from "./interrupts.ts";

function listen(terminal: { isThere: boolean }) {
  const process = new EventEmitter();
  const interrupts = listenToInterrupts(
    process,
    () => assert.fail("nothing hangs here"),
    () => terminal.isThere,
  );
  return { process, interrupts };
}

test("a SIGHUP that nobody waits for is an interrupt", () => {
  const { process, interrupts } = listen({ isThere: false });
  process.emit("SIGHUP");
  assert.ok(interrupts.signal.aborted);
});

// proves: reload.followed
test("a SIGHUP that was sent is told to whoever waits for it, with a terminal and without", () => {
  for (const isThere of [true, false]) {
    const { process, interrupts } = listen({ isThere });
    let hangups = 0;
    const forget = interrupts.onHangup(() => hangups++);
    process.emit("SIGHUP");
    process.emit("SIGHUP");
    assert.equal(hangups, 2);
    assert.ok(!interrupts.signal.aborted);
    forget();
    process.emit("SIGHUP");
    assert.equal(hangups, 2);
    assert.ok(interrupts.signal.aborted);
  }
});

test("the SIGHUP of a terminal that was closed is an interrupt all the same", () => {
  const terminal = { isThere: true };
  const { process, interrupts } = listen(terminal);
  let interruptions = 0;
  interrupts.onHangup(() => assert.fail("nobody asked for a reload"));
  interrupts.take(() => interruptions++);
  terminal.isThere = false;
  process.emit("SIGHUP");
  assert.equal(interruptions, 1);
});
