import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ProcessHandle } from "./driver.ts";
import type { ProcessSpec } from "./process-spec.ts";
import {
  type Effect,
  hasProcess,
  idleMachine,
  type ProcessEvent,
  defaultSupervisionPolicy as policy,
  reconcile,
  type Wanted,
  wakeAtMs,
} from "./reconcile.ts";

const spec: ProcessSpec = {
  name: "llm",
  command: ["llm"],
  env: {},
  cwd: "/",
  health: { path: "/health" },
  ready: { path: "/readyz" },
  graceMs: 60_000,
  stopGraceMs: 30_000,
};
const want: ProcessEvent = { kind: "wanted", wanted: { spec, digest: "one" } };
const wantOther: ProcessEvent = { kind: "wanted", wanted: { spec, digest: "two" } };
const unwanted: ProcessEvent = { kind: "unwanted" };
const restart: ProcessEvent = { kind: "restart" };

function handle(pid: number, specDigest: string): ProcessHandle {
  const { name, stopGraceMs } = spec;
  return { name, stopGraceMs, id: String(pid), pid, specDigest, startedAt: 0, logFile: "/log", isAdopted: false };
}

/** What the world may do to one name; the simulation below applies what fits. */
const action = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom<ProcessEvent>(want, wantOther, unwanted, restart) },
  { weight: 4, arbitrary: fc.constantFrom("spawn succeeds", "spawn fails", "process ends", "hangs", "ready") },
  { weight: 3, arbitrary: fc.record({ passMs: fc.integer({ min: 0, max: 120_000 }) }) },
);

/** A world with one process at most, and it complains when it is asked for a second. */
class World {
  machine = idleMachine;
  nowMs = 0;
  pending: Wanted | undefined;
  live: ProcessHandle | undefined;
  spawnsMs: number[] = [];
  #pid = 0;
  #isDying = false;

  feed(event: ProcessEvent): void {
    const step = reconcile(this.machine, event, { nowMs: this.nowMs, random: 0.5, policy });
    this.machine = step.machine;
    for (const effect of step.effects) this.#perform(effect);
    const claimsProcess = hasProcess(this.machine.state);
    assert.equal(claimsProcess, this.live !== undefined || this.pending !== undefined);
  }

  #perform(effect: Effect): void {
    if (effect.kind === "spawn") {
      assert.equal(this.live, undefined, "a second process beside a live one");
      assert.equal(this.pending, undefined, "a second start beside one under way");
      this.pending = effect.wanted;
      this.spawnsMs.push(this.nowMs);
    }
    if (effect.kind === "signal") assert.equal(effect.process.id, this.live?.id, "a signal to what does not run");
    // Deaf to SIGTERM; SIGKILL ends it, and that is noticed later.
    if (effect.kind === "signal" && effect.signal === "SIGKILL") this.#isDying = true;
  }

  act(what: string): void {
    if (what === "spawn succeeds" && this.pending !== undefined) {
      this.live = handle(++this.#pid, this.pending.digest);
      this.pending = undefined;
      this.feed({ kind: "spawned", process: this.live });
    } else if (what === "spawn fails" && this.pending !== undefined) {
      this.pending = undefined;
      this.feed({ kind: "spawn_failed", reason: "no such program" });
    } else if (what === "process ends" && this.live !== undefined) {
      const process = this.live;
      this.live = undefined;
      this.#isDying = false;
      this.feed({ kind: "exited", process, exit: { code: 1, signal: null } });
    } else if ((what === "hangs" || what === "ready") && this.live !== undefined) {
      const target = what === "hangs" ? "health" : "ready";
      this.feed({
        kind: "probed",
        process: this.live,
        target,
        url: undefined,
        failure: what === "hangs" ? "x" : undefined,
      });
    }
  }

  /** Lets time pass, stopping wherever the machine wants to wake up. */
  pass(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const atMs = wakeAtMs(this.machine.state);
      if (atMs === undefined || atMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, atMs);
      this.feed({ kind: "tick" });
      if (this.#isDying) this.act("process ends");
    }
    this.nowMs = endMs;
  }
}

test("reconcile: whatever happens, one process at most, and stop ends", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
      const world = new World();
      for (const each of actions) {
        if (typeof each === "string") world.act(each);
        else if ("passMs" in each) world.pass(each.passMs);
        else world.feed(each);
      }
      world.feed(unwanted);
      world.act("spawn succeeds");
      world.pass(spec.stopGraceMs);
      assert.deepEqual(world.machine.state, { kind: "stopped" });
      assert.equal(world.live, undefined);
    }),
    { numRuns: 500 },
  );
});

test("reconcile: never more restarts in a window than allowed, and none after giving up", () => {
  const life = fc.record({
    ms: fc.integer({ min: 0, max: 200_000 }),
    how: fc.constantFrom("process ends", "spawn fails"),
  });
  fc.assert(
    fc.property(fc.array(life, { minLength: 10, maxLength: 60 }), (lives) => {
      const world = new World();
      world.feed(want);
      for (const { ms, how } of lives) {
        if (how === "process ends") world.act("spawn succeeds");
        world.pass(ms);
        world.act(how);
        world.pass(policy.backoffMaxMs);
      }
      const [, ...restarts] = world.spawnsMs;
      for (const [index, atMs] of restarts.entries()) {
        const tooEarly = restarts[index + policy.restartsMax];
        assert.ok(tooEarly === undefined || tooEarly - atMs >= policy.restartWindowMs, `${restarts}`);
      }
    }),
    { numRuns: 500 },
  );
});
