import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { waitFor } from "../../test/support/wait-for.ts";
import { identify, isAlive } from "./process-identity.ts";

const options = { timeout: 60_000 };

test("identity: stays the same while a process lives, and is nobody's afterwards", options, async () => {
  const child = spawn("sleep", ["60"]);
  const identity = identify(child.pid ?? 0);
  assert.ok(identity !== undefined);
  assert.deepEqual(identify(identity.pid), identity);
  assert.equal(isAlive(identity), true);
  assert.equal(isAlive({ ...identity, startTime: "another time" }), false);
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.equal(isAlive(identity), false);
  assert.equal(identify(identity.pid), undefined);
});

test("identity: a zombie has one, but is not alive", options, async (t) => {
  // The shell becomes a program that never asks for the end of the child it inherits.
  const parent = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "ignore"] });
  t.after(() => parent.kill("SIGKILL"));
  const [line] = await once(parent.stdout, "data");
  const pid = Number(line);
  await waitFor("its end", () => {
    const identity = identify(pid);
    assert.ok(identity !== undefined, "it is not reaped");
    return !isAlive(identity);
  });
});
