import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProcessHandle } from "./driver.ts";
import type { ProcessSpec } from "./process-spec.ts";
import {
  type Effect,
  idleMachine,
  type Machine,
  type ProcessEvent,
  type ProcessState,
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
const wanted: Wanted = { spec, digest: "one" };
const changed: Wanted = { spec: { ...spec, command: ["llm", "--new"] }, digest: "two" };
const rewatched: Wanted = { spec: { ...spec, graceMs: 5 }, digest: "one" };

function handle(pid: number, digest = "one", isAdopted = false): ProcessHandle {
  const fixed = { name: "llm", startedAt: 0, stopGraceMs: spec.stopGraceMs, logFile: "/llm.log" };
  return { ...fixed, id: String(pid), pid, specDigest: digest, isAdopted };
}

interface At {
  nowMs?: number;
  random?: number;
}

/** Feeds events one after the other, each at its time; answers with the end and the effects of the last. */
function run(events: readonly (ProcessEvent & At)[], from: Machine = idleMachine) {
  let machine = from;
  let effects: readonly Effect[] = [];
  let nowMs = 0;
  for (const event of events) {
    nowMs = event.nowMs ?? nowMs;
    ({ machine, effects } = reconcile(machine, event, { nowMs, random: event.random ?? 0, policy }));
  }
  return { machine, state: machine.state, effects };
}

const want: ProcessEvent = { kind: "wanted", wanted };
const unwanted: ProcessEvent = { kind: "unwanted" };
const restart: ProcessEvent = { kind: "restart" };
const tick: ProcessEvent = { kind: "tick" };
const spawned = (pid = 1, digest = "one"): ProcessEvent => ({ kind: "spawned", process: handle(pid, digest) });
const exited = (pid = 1, code: number | null = 1): ProcessEvent => ({
  kind: "exited",
  process: handle(pid),
  exit: { code, signal: null },
});
const probed = (target: "health" | "ready", failure?: string, pid = 1): ProcessEvent => ({
  kind: "probed",
  process: handle(pid),
  target,
  url: "http://127.0.0.1:1",
  failure,
});
const found = (digest: string, of: Wanted | undefined, ageMs = 0): ProcessEvent => ({
  kind: "found",
  process: handle(9, digest, true),
  ageMs,
  wanted: of,
});
const failedSpawn: ProcessEvent = { kind: "spawn_failed", reason: "no such program" };

/** One crash every 20 s, each followed by a restart while there is one. */
function crashes(times: number): (ProcessEvent & At)[] {
  const one = (at: number) => [spawned(at), { ...exited(at), nowMs: at * 20_000 }, tickAt((at + 1) * 20_000)];
  return [want, ...Array.from({ length: times }, (_, at) => one(at)).flat()];
}
const tickAt = (nowMs: number): ProcessEvent & At => ({ ...tick, nowMs });

const turns: readonly {
  name: string;
  events: readonly (ProcessEvent & At)[];
  state: ProcessState["kind"];
  effects: readonly string[];
}[] = [
  { name: "what is wanted is spawned", events: [want], state: "starting", effects: ["spawn one"] },
  { name: "wanted twice is spawned once", events: [want, want], state: "starting", effects: [] },
  { name: "once spawned it runs", events: [want, spawned()], state: "running", effects: [] },
  {
    name: "the first crash is followed by a start at once",
    events: [want, spawned(), exited(), tick],
    state: "starting",
    effects: ["spawn one"],
  },
  {
    name: "an end with code 0 is a fault too: it was to keep running",
    events: [want, spawned(), exited(1, 0)],
    state: "backoff",
    effects: [],
  },
  { name: "a start that fails is tried again later", events: [want, failedSpawn], state: "backoff", effects: [] },
  {
    name: "the fifth crash is followed by the last restart",
    events: crashes(5),
    state: "starting",
    effects: ["spawn one"],
  },
  {
    name: "the sixth crash is given up on",
    events: [...crashes(5), spawned(6), exited(6)],
    state: "failed",
    effects: [],
  },
  { name: "failed does not wake up", events: [...crashes(6), tickAt(9e9)], state: "failed", effects: [] },
  { name: "failed and still wanted stays failed", events: [...crashes(6), want], state: "failed", effects: [] },
  { name: "failed is left by restart", events: [...crashes(6), restart], state: "starting", effects: ["spawn one"] },
  {
    name: "failed is left by a new spec",
    events: [...crashes(6), { kind: "wanted", wanted: changed }],
    state: "starting",
    effects: ["spawn two"],
  },
  { name: "failed is left by not being wanted", events: [...crashes(6), unwanted], state: "stopped", effects: [] },
  {
    name: "restart does not wait for the backoff",
    events: [want, failedSpawn, restart],
    state: "starting",
    effects: ["spawn one"],
  },
  { name: "restart of what nobody wants does nothing", events: [restart], state: "stopped", effects: [] },
  { name: "restart stops what runs", events: [want, spawned(), restart], state: "stopping", effects: ["SIGTERM 1"] },
  {
    name: "and starts it when it has ended",
    events: [want, spawned(), restart, exited()],
    state: "starting",
    effects: ["spawn one"],
  },
  {
    name: "a new spec stops the old process first",
    events: [want, spawned(), { kind: "wanted", wanted: changed }],
    state: "stopping",
    effects: ["SIGTERM 1"],
  },
  {
    name: "and starts the new when it has ended",
    events: [want, spawned(), { kind: "wanted", wanted: changed }, exited()],
    state: "starting",
    effects: ["spawn two"],
  },
  {
    name: "a new spec during the start replaces what comes of it",
    events: [want, { kind: "wanted", wanted: changed }, spawned()],
    state: "stopping",
    effects: ["SIGTERM 1"],
  },
  {
    name: "other timings change nothing about the process",
    events: [want, spawned(), { kind: "wanted", wanted: rewatched }],
    state: "running",
    effects: [],
  },
  { name: "no longer wanted: SIGTERM", events: [want, spawned(), unwanted], state: "stopping", effects: ["SIGTERM 1"] },
  {
    name: "no longer wanted during the start: SIGTERM once it runs",
    events: [want, unwanted, spawned()],
    state: "stopping",
    effects: ["SIGTERM 1"],
  },
  { name: "its end is then the end", events: [want, spawned(), unwanted, exited()], state: "stopped", effects: [] },
  {
    name: "wanted again while stopping: started anew after its end",
    events: [want, spawned(), unwanted, want, exited()],
    state: "starting",
    effects: ["spawn one"],
  },
  {
    name: "SIGKILL not before the grace is over",
    events: [want, spawned(), unwanted, tickAt(29_999)],
    state: "stopping",
    effects: [],
  },
  {
    name: "SIGKILL after the grace",
    events: [want, spawned(), unwanted, tickAt(30_000)],
    state: "stopping",
    effects: ["SIGKILL 1"],
  },
  {
    name: "SIGKILL again, not at once",
    events: [want, spawned(), unwanted, tickAt(30_000), tickAt(34_999)],
    state: "stopping",
    effects: [],
  },
  {
    name: "SIGKILL again after 5 s",
    events: [want, spawned(), unwanted, tickAt(30_000), tickAt(35_000)],
    state: "stopping",
    effects: ["SIGKILL 1"],
  },
  {
    name: "the end of another process is none of its",
    events: [want, spawned(), exited(7)],
    state: "running",
    effects: [],
  },
  { name: "a found process of the wanted spec is kept", events: [found("one", wanted)], state: "running", effects: [] },
  {
    name: "a found process of another spec is stopped",
    events: [found("one", changed)],
    state: "stopping",
    effects: ["SIGTERM 9"],
  },
  { name: "and replaced", events: [found("one", changed), exited(9)], state: "starting", effects: ["spawn two"] },
  {
    name: "a found process that nobody wants is stopped",
    events: [found("one", undefined)],
    state: "stopping",
    effects: ["SIGTERM 9"],
  },
  {
    name: "readiness is asked for at once, liveness after the grace",
    events: [want, spawned(), tick],
    state: "running",
    effects: ["ready"],
  },
  {
    name: "readiness is asked for again after 500 ms until it is there",
    events: [want, spawned(), tick, probed("ready", "503"), tickAt(500)],
    state: "running",
    effects: ["ready"],
  },
  {
    name: "then every 3 s",
    events: [want, spawned(), tick, probed("ready"), tickAt(2_999)],
    state: "running",
    effects: [],
  },
  { name: "one question at a time", events: [want, spawned(), tick, tickAt(50_000)], state: "running", effects: [] },
  {
    name: "the age of a found process counts for its grace",
    events: [found("one", wanted, 60_000), tick],
    state: "running",
    effects: ["health", "ready"],
  },
];

for (const { name, events, state, effects } of turns) {
  test(`reconcile: ${name}`, () => {
    const end = run(events);
    assert.equal(end.state.kind, state);
    assert.deepEqual(end.effects.map(describe), effects);
  });
}

function describe(effect: Effect): string {
  if (effect.kind === "spawn") return `spawn ${effect.wanted.digest}`;
  return effect.kind === "signal" ? `${effect.signal} ${effect.process.pid}` : effect.target;
}

test("reconcile: readiness never restarts", () => {
  const failures = Array.from({ length: 100 }, (_, at) => [tickAt(at * 500), probed("ready", "503")]).flat();
  assert.equal(run([want, spawned(), ...failures]).state.kind, "running");
});

test("reconcile: three liveness failures in a row, and no fewer, replace a process, with little time to drain", () => {
  const check = (nowMs: number, failure?: string) => [
    tickAt(nowMs),
    { ...probed("health", failure), nowMs: nowMs + 2_000 },
  ];
  const twice = [want, spawned(), ...check(60_000, "timeout"), ...check(63_000, "timeout")];
  assert.equal(
    run([...twice, ...check(66_000), ...check(69_000, "timeout"), ...check(72_000, "timeout")]).state.kind,
    "running",
  );

  const hung = run([...twice, ...check(66_000, "timeout")]);
  assert.deepEqual(hung.effects.map(describe), ["SIGTERM 1"]);
  assert.equal(wakeAtMs(hung.state), 68_000 + policy.hungStopGraceMs);
  const gone = run([{ ...exited(1, null), nowMs: 70_000 }], hung.machine);
  assert.equal(gone.state.kind, "backoff");
  assert.match(gone.machine.lastFault ?? "", /3 liveness checks.*timeout/);
});

test("reconcile: backoff is 0, 1, 2, 4 s ... 60 s, less up to half", () => {
  const generous = { ...policy, restartsMax: 100, restartWindowMs: Number.MAX_SAFE_INTEGER };
  const waits = (random: number) => {
    let machine = run([want]).machine;
    return Array.from({ length: 9 }, () => {
      machine = reconcile(machine, failedSpawn, { nowMs: 0, random, policy: generous }).machine;
      const waitMs = wakeAtMs(machine.state);
      machine = reconcile(machine, tick, { nowMs: waitMs ?? 0, random, policy: generous }).machine;
      return waitMs;
    });
  };
  assert.deepEqual(waits(0), [0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  assert.deepEqual(waits(1), [0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
});

test("reconcile: faults older than ten minutes are forgotten", () => {
  const later = 5 * 20_000 + policy.restartWindowMs;
  const end = run([...crashes(5), spawned(6), { ...exited(6), nowMs: later }]);
  assert.equal(end.state.kind, "backoff");
  assert.equal(end.machine.restartedMs.length, 0);
});

test("reconcile: the answer of a probe to an earlier process is not taken", () => {
  const { machine } = run([want, spawned(1), exited(1), tick, spawned(2)]);
  assert.equal(run([probed("ready", undefined, 1)], machine).machine, machine);
});
