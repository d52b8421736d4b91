import type { ProcessExit, ProcessHandle } from "./driver.ts";
import type { ProcessSpec } from "./process-spec.ts";

/** When a process is checked, given up on and started again. Times in milliseconds. */
export interface SupervisionPolicy {
  /** Delay of the second restart; doubles with each further one. The first comes at once. */
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** More than this within the window is a process that cannot work: it is `failed` and left alone. */
  readonly restartsMax: number;
  readonly restartWindowMs: number;
  readonly healthIntervalMs: number;
  /** For one check of either kind. `/health` promises 100 ms; 2 s forgive a busy machine. */
  readonly probeTimeoutMs: number;
  /** Failed liveness checks in a row that replace the process. */
  readonly healthFailuresMax: number;
  /** From SIGTERM to SIGKILL for a process that does not answer any more: it will hardly drain. */
  readonly hungStopGraceMs: number;
  /** Between readiness checks until the first that succeeds; then `healthIntervalMs`. */
  readonly readyIntervalMs: number;
  /** Until SIGKILL is sent again: a process stuck in the kernel takes it late. */
  readonly killRepeatMs: number;
}

/**
 * A process that hangs right after a good check is replaced within 3 + 2 x 3 + 2 (the last check's timeout) + 2 = 13 s.
 * Five restarts wait for 0, 1, 2, 4 and 8 s at most: a crash loop is `failed` after 15 s plus its own running time.
 */
export const defaultSupervisionPolicy: SupervisionPolicy = {
  backoffMinMs: 1_000,
  backoffMaxMs: 60_000,
  restartsMax: 5,
  restartWindowMs: 600_000,
  healthIntervalMs: 3_000,
  probeTimeoutMs: 2_000,
  healthFailuresMax: 3,
  hungStopGraceMs: 2_000,
  readyIntervalMs: 500,
  killRepeatMs: 5_000,
};

/** A spec that shall run, with its `specDigest`. */
export interface Wanted {
  readonly spec: ProcessSpec;
  readonly digest: string;
}

export type ProbeTarget = "health" | "ready";

/** Where a repeated check stands. */
export type Probe =
  | { readonly kind: "off" }
  | { readonly kind: "due"; readonly atMs: number }
  | { readonly kind: "sent"; readonly atMs: number };

/** Where a process stands. Times are the clock's monotonic milliseconds. Those with a `process` have one, alive. */
export type ProcessState =
  | { readonly kind: "stopped" }
  | { readonly kind: "starting" }
  | RunningState
  | StoppingState
  | { readonly kind: "backoff"; readonly untilMs: number; readonly attempt: number; readonly reason: string }
  | { readonly kind: "failed"; readonly reason: string };

export interface RunningState {
  readonly kind: "running";
  readonly process: ProcessHandle;
  readonly startedMs: number;
  readonly health: Probe;
  /** In a row, the grace over. */
  readonly healthFailures: number;
  readonly ready: Probe;
  /** Undefined when the spec has no readiness check. */
  readonly isReady: boolean | undefined;
  readonly url: string | undefined;
}

export interface StoppingState {
  readonly kind: "stopping";
  readonly process: ProcessHandle;
  /** When SIGKILL is due, or due again. */
  readonly killAtMs: number;
  /** Why it had to go although it was wanted: its end counts as a crash. */
  readonly fault: string | undefined;
}

/** All that is known of one name. There is at most one process in it: the one of its state. */
export interface Machine {
  readonly wanted: Wanted | undefined;
  readonly state: ProcessState;
  /** When it was restarted after a fault, oldest first, within the window. */
  readonly restartedMs: readonly number[];
  /** The last fault, while there are restarts to explain. */
  readonly lastFault: string | undefined;
}

export const idleMachine: Machine = {
  wanted: undefined,
  state: { kind: "stopped" },
  restartedMs: [],
  lastFault: undefined,
};

export type ProcessEvent =
  /** It shall run, so. */
  | { readonly kind: "wanted"; readonly wanted: Wanted }
  /** It shall not run. */
  | { readonly kind: "unwanted" }
  /** The operator asks for a fresh start; the past is forgiven. */
  | { readonly kind: "restart" }
  /** A process of an earlier supervisor, `ageMs` old, and what shall run under its name, if anything. */
  | {
      readonly kind: "found";
      readonly process: ProcessHandle;
      readonly ageMs: number;
      readonly wanted: Wanted | undefined;
    }
  | { readonly kind: "spawned"; readonly process: ProcessHandle }
  | { readonly kind: "spawn_failed"; readonly reason: string }
  | { readonly kind: "exited"; readonly process: ProcessHandle; readonly exit: ProcessExit }
  | {
      readonly kind: "probed";
      readonly process: ProcessHandle;
      readonly target: ProbeTarget;
      readonly url: string | undefined;
      /** Why it failed; undefined when it succeeded. */
      readonly failure: string | undefined;
    }
  /** Time has passed: something may be due. */
  | { readonly kind: "tick" };

export type Effect =
  | { readonly kind: "spawn"; readonly wanted: Wanted }
  | { readonly kind: "signal"; readonly process: ProcessHandle; readonly signal: "SIGTERM" | "SIGKILL" }
  | {
      readonly kind: "probe";
      readonly process: ProcessHandle;
      readonly target: ProbeTarget;
      /** Undefined while the process has not said where it listens: ask the driver. */
      readonly url: string | undefined;
      readonly path: string;
      readonly timeoutMs: number;
    };

export interface Step {
  readonly machine: Machine;
  readonly effects: readonly Effect[];
}

export interface StepContext {
  readonly nowMs: number;
  /** Between 0 and 1; spreads restarts. */
  readonly random: number;
  readonly policy: SupervisionPolicy;
}

/**
 * Decides. Pure: the same machine, event and context give the same step. Events that no longer fit, such as the answer
 * of a probe to a process that has gone, change nothing.
 */
export function reconcile(machine: Machine, event: ProcessEvent, context: StepContext): Step {
  const { state } = machine;
  switch (event.kind) {
    case "wanted":
      return want(machine, event.wanted, context);
    case "unwanted":
      return unwant({ ...machine, wanted: undefined }, context);
    case "restart":
      return machine.wanted === undefined ? keep(machine) : renew(machine, context);
    case "found":
      return state.kind === "stopped"
        ? adopt({ ...machine, wanted: event.wanted }, event.process, context.nowMs - event.ageMs, context)
        : keep(machine);
    case "spawned":
      return state.kind === "starting" ? adopt(machine, event.process, context.nowMs, context) : keep(machine);
    case "spawn_failed":
      return state.kind === "starting" ? end(machine, event.reason, context) : keep(machine);
    case "exited":
      return exit(machine, event, context);
    case "probed":
      return state.kind === "running" && state.process.id === event.process.id
        ? judge(machine, state, event, context)
        : keep(machine);
    case "tick":
      return tick(machine, context);
  }
}

/** When the next `tick` is due; undefined when only an event can change anything. */
export function wakeAtMs(state: ProcessState): number | undefined {
  if (state.kind === "backoff") return state.untilMs;
  if (state.kind === "stopping") return state.killAtMs;
  if (state.kind !== "running") return undefined;
  const due = [state.health, state.ready].flatMap((probe) => (probe.kind === "due" ? [probe.atMs] : []));
  return due.length === 0 ? undefined : Math.min(...due);
}

/** Whether there is or may be a process. */
export function hasProcess(state: ProcessState): boolean {
  return state.kind === "starting" || state.kind === "running" || state.kind === "stopping";
}

function keep(machine: Machine): Step {
  return { machine, effects: [] };
}

function want(machine: Machine, wanted: Wanted, context: StepContext): Step {
  const isSame = machine.wanted?.digest === wanted.digest;
  const next = { ...machine, wanted };
  const { state } = next;
  if (state.kind === "running") {
    return state.process.specDigest === wanted.digest
      ? keep({ ...next, state: watched(state, wanted.spec, context) })
      : renew(next, context);
  }
  // A changed spec is a new chance: whatever the old one did wrong is forgiven.
  return isSame && state.kind !== "stopped" ? keep(next) : renew(next, context);
}

function unwant(machine: Machine, context: StepContext): Step {
  const { state } = machine;
  if (state.kind === "running") return stop(machine, state, context);
  if (state.kind === "stopping" || state.kind === "starting") return keep(machine);
  return keep({ ...machine, state: { kind: "stopped" } });
}

/** A fresh start with a clean record, by way of stopping what runs. */
function renew(machine: Machine, context: StepContext): Step {
  const clean: Machine = { ...machine, restartedMs: [], lastFault: undefined };
  const { state } = clean;
  if (state.kind === "running") return stop(clean, state, context);
  if (state.kind === "stopping") return keep({ ...clean, state: { ...state, fault: undefined } });
  return state.kind === "starting" ? keep(clean) : start(clean);
}

function start(machine: Machine): Step {
  const { wanted } = machine;
  if (wanted === undefined) return keep({ ...machine, state: { kind: "stopped" } });
  return { machine: { ...machine, state: { kind: "starting" } }, effects: [{ kind: "spawn", wanted }] };
}

/** There is a process now, started or found. It may have become the wrong one in the meantime. */
function adopt(machine: Machine, process: ProcessHandle, startedMs: number, context: StepContext): Step {
  const state: RunningState = {
    kind: "running",
    process,
    startedMs,
    health: { kind: "off" },
    healthFailures: 0,
    ready: { kind: "off" },
    isReady: undefined,
    url: undefined,
  };
  const { wanted } = machine;
  if (wanted === undefined || wanted.digest !== process.specDigest) return stop({ ...machine, state }, state, context);
  return keep({ ...machine, state: watched(state, wanted.spec, context) });
}

function watched(state: RunningState, spec: ProcessSpec, { nowMs }: StepContext): RunningState {
  const health: Probe =
    spec.health === undefined
      ? { kind: "off" }
      : { kind: "due", atMs: Math.max(nowMs, state.startedMs + spec.graceMs) };
  const ready: Probe = spec.ready === undefined ? { kind: "off" } : { kind: "due", atMs: nowMs };
  const isReady = spec.ready === undefined ? undefined : (state.isReady ?? false);
  return { ...state, health, healthFailures: 0, ready, isReady, url: spec.url ?? state.url };
}

function stop(machine: Machine, { process }: RunningState, { nowMs, policy }: StepContext, fault?: string): Step {
  const graceMs = fault === undefined ? process.stopGraceMs : Math.min(process.stopGraceMs, policy.hungStopGraceMs);
  const state: StoppingState = { kind: "stopping", process, killAtMs: nowMs + graceMs, fault };
  return { machine: { ...machine, state }, effects: [{ kind: "signal", process, signal: "SIGTERM" }] };
}

function exit(machine: Machine, event: Extract<ProcessEvent, { kind: "exited" }>, context: StepContext): Step {
  const { state } = machine;
  if (state.kind === "running" && state.process.id === event.process.id) {
    return end(machine, describeExit(event.exit), context);
  }
  if (state.kind !== "stopping" || state.process.id !== event.process.id) return keep(machine);
  return state.fault === undefined ? start(machine) : end(machine, state.fault, context);
}

/** The process has ended by a fault, or never began: wait, then start again; or give up. */
function end(machine: Machine, fault: string, context: StepContext): Step {
  const { nowMs, policy } = context;
  if (machine.wanted === undefined) return keep({ ...machine, state: { kind: "stopped" } });
  const restartedMs = machine.restartedMs.filter((atMs) => atMs > nowMs - policy.restartWindowMs);
  const next: Machine = { ...machine, restartedMs, lastFault: fault };
  if (restartedMs.length >= policy.restartsMax) {
    return keep({ ...next, state: { kind: "failed", reason: fault } });
  }
  const untilMs = nowMs + backoffMs(restartedMs.length, context);
  return keep({ ...next, state: { kind: "backoff", untilMs, attempt: restartedMs.length + 1, reason: fault } });
}

/** At once, then 1, 2, 4, ... s, less up to half of it: what failed together does not come back together. */
function backoffMs(restarts: number, { random, policy }: StepContext): number {
  if (restarts === 0) return 0;
  const fullMs = Math.min(policy.backoffMinMs * 2 ** (restarts - 1), policy.backoffMaxMs);
  return fullMs * (1 - random / 2);
}

function judge(
  machine: Machine,
  state: RunningState,
  event: Extract<ProcessEvent, { kind: "probed" }>,
  context: StepContext,
): Step {
  const { policy } = context;
  const isGood = event.failure === undefined;
  const seen: RunningState = { ...state, url: event.url ?? state.url };
  if (event.target === "ready") {
    const ready = again(state.ready, isGood ? policy.healthIntervalMs : policy.readyIntervalMs, context);
    return keep({ ...machine, state: { ...seen, ready, isReady: isGood } });
  }
  const healthFailures = isGood ? 0 : state.healthFailures + 1;
  if (healthFailures >= policy.healthFailuresMax) {
    const fault = `failed ${healthFailures} liveness checks in a row, the last one: ${event.failure}`;
    return stop(machine, state, context, fault);
  }
  const health = again(state.health, policy.healthIntervalMs, context);
  return keep({ ...machine, state: { ...seen, health, healthFailures } });
}

/** At a steady pace from one sending to the next, however long the answer took. */
function again(probe: Probe, intervalMs: number, { nowMs }: StepContext): Probe {
  return probe.kind === "sent" ? { kind: "due", atMs: Math.max(nowMs, probe.atMs + intervalMs) } : probe;
}

function tick(machine: Machine, context: StepContext): Step {
  const { state } = machine;
  const { nowMs, policy } = context;
  switch (state.kind) {
    case "backoff":
      return nowMs < state.untilMs
        ? keep(machine)
        : start({ ...machine, restartedMs: [...machine.restartedMs, nowMs] });
    case "stopping":
      return nowMs < state.killAtMs
        ? keep(machine)
        : {
            machine: { ...machine, state: { ...state, killAtMs: nowMs + policy.killRepeatMs } },
            effects: [{ kind: "signal", process: state.process, signal: "SIGKILL" }],
          };
    case "running":
      return sendDueProbes(machine, state, context);
    default:
      return keep(machine);
  }
}

function sendDueProbes(machine: Machine, state: RunningState, { nowMs, policy }: StepContext): Step {
  const spec = machine.wanted?.spec;
  const effects: Effect[] = [];
  const send = (probe: Probe, target: ProbeTarget): Probe => {
    const path = spec?.[target]?.path;
    if (path === undefined || probe.kind !== "due" || nowMs < probe.atMs) return probe;
    const { process, url } = state;
    effects.push({ kind: "probe", process, target, url, path, timeoutMs: policy.probeTimeoutMs });
    return { kind: "sent", atMs: nowMs };
  };
  const next: RunningState = { ...state, health: send(state.health, "health"), ready: send(state.ready, "ready") };
  return { machine: { ...machine, state: next }, effects };
}

function describeExit({ code, signal }: ProcessExit): string {
  if (signal !== null) return `was ended by ${signal}`;
  return code === null ? "ended by itself" : `exited with code ${code}`;
}
