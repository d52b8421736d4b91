import assert from "node:assert/strict";
import { test } from "node:test";
import { CollectedReply } from "./collected-reply.ts";
import { HeldReply } from "./held-reply.ts";

function start() {
  const collected = new CollectedReply(1_000);
  const reply = new HeldReply(collected);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  return { collected, reply, promise, resolve, reject };
}

// proves: responses.outlives
test("what is held goes out in its order, once what it waits for is done or has failed", async () => {
  for (const outcome of ["done", "failed"]) {
    const { collected, reply, promise, resolve, reject } = start();
    assert.equal(reply.write("a"), true);
    reply.holdUntil(promise);
    let drained = false;
    assert.equal(reply.write("b"), false, "whoever writes is told to wait");
    reply.onDrain(() => {
      drained = true;
    });
    reply.end("c");
    const early = await Promise.race([collected.answer, new Promise((later) => setImmediate(() => later("nothing")))]);
    assert.deepEqual([early, drained], ["nothing", false]);
    if (outcome === "done") resolve();
    else reject(new Error("lost"));
    assert.equal((await collected.answer)?.body.toString(), "abc");
    assert.equal(drained, true);
  }
});

test("a head that is held counts as sent", async () => {
  const { collected, reply, promise, resolve } = start();
  reply.holdUntil(promise);
  reply.writeHead(201);
  assert.deepEqual([reply.headersSent, collected.headersSent], [true, false]);
  reply.end();
  resolve();
  assert.equal((await collected.answer)?.status, 201);
});

test("a reply that is destroyed while it is held sends nothing more", async () => {
  const { collected, reply, promise, resolve } = start();
  reply.holdUntil(promise);
  reply.end("late");
  reply.destroy();
  resolve();
  assert.equal(await collected.answer, undefined);
});
