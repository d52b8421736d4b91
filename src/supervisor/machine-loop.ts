import type { Clock } from "../base/clock.ts";
import { describeError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { Driver } from "./driver.ts";
import { logTurn } from "./log-turn.ts";
import { performEffect } from "./perform-effect.ts";
import { type ProcessStatus, toProcessStatus } from "./process-status.ts";
import {
  type Effect,
  hasProcess,
  idleMachine,
  type Machine,
  type ProcessEvent,
  reconcile,
  type SupervisionPolicy,
  wakeAtMs,
} from "./reconcile.ts";

/** After SIGKILL, how long to wait for the kernel to take the process away. */
const killWaitMs = 2_000;

export interface MachineLoopOptions {
  readonly driver: Driver;
  readonly clock: Clock;
  readonly log: Logger;
  readonly policy: SupervisionPolicy;
  /** Between 0 and 1. */
  readonly random: () => number;
}

/** Lets the machines live: feeds them events and time, has their effects performed. Decides nothing itself. */
export interface MachineLoop {
  /** Of all that run or shall run. */
  names(): readonly string[];
  /** Of any name; one that is not known is stopped. */
  status(name: string): ProcessStatus;
  dispatch(name: string, event: ProcessEvent): void;
  /** Calls back at once after any change that shows in a status, until the returned function is called. */
  onChange(listener: () => void): () => void;
  /**
   * Stops one for good. Resolves to whether it has gone, at the latest when its grace and 2 s for SIGKILL are over.
   */
  stop(name: string): Promise<boolean>;
  /** Ends all timers. What happens to processes from then on is not seen. */
  close(): void;
}

export function createMachineLoop(options: MachineLoopOptions): MachineLoop {
  const { driver, clock, log, policy } = options;
  const machines = new Map<string, Machine>();
  const alarms = createAlarms(clock);
  const listeners = new Set<() => void>();
  let isClosed = false;
  const machine = (name: string): Machine => machines.get(name) ?? idleMachine;

  function dispatch(name: string, event: ProcessEvent): void {
    if (isClosed) return;
    const before = machine(name);
    const context = { nowMs: clock.monotonic(), random: options.random(), policy };
    const { machine: after, effects } = reconcile(before, event, context);
    if (after.wanted === undefined && after.state.kind === "stopped") machines.delete(name);
    else machines.set(name, after);
    alarms.set(name, wakeAtMs(after.state), () => dispatch(name, { kind: "tick" }));
    logTurn(log.child({ process: name }), before, after, context.nowMs);
    for (const effect of effects) perform(name, effect);
    if (event.kind === "spawned" || event.kind === "found") {
      const { process } = event;
      driver.watch(process, (exit) => dispatch(name, { kind: "exited", process, exit }));
    }
    if (showsChange(before, after)) for (const listener of [...listeners]) listener();
  }

  function perform(name: string, effect: Effect): void {
    performEffect(effect, driver, clock).then(
      (event) => event !== undefined && dispatch(name, event),
      (error: unknown) =>
        log.error({ process: name, effect: effect.kind, error: describeError(error) }, "effect broke"),
    );
  }

  const onChange = (listener: () => void): (() => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };

  return {
    names: () => [...machines.keys()],
    status: (name) => toProcessStatus(name, machine(name), clock.monotonic()),
    dispatch,
    onChange,
    stop(name) {
      const graceMs = stopGraceMs(machine(name));
      dispatch(name, { kind: "unwanted" });
      return until(() => !hasProcess(machine(name).state), { onChange, clock, withinMs: graceMs + killWaitMs });
    },
    close() {
      isClosed = true;
      alarms.clear();
    },
  };
}

/** One timer a name: a new one replaces the last, undefined only cancels it. Times are monotonic. */
function createAlarms(clock: Clock) {
  const cancels = new Map<string, () => void>();
  return {
    set(name: string, atMs: number | undefined, run: () => void): void {
      cancels.get(name)?.();
      if (atMs === undefined) cancels.delete(name);
      else cancels.set(name, clock.after(Math.max(0, Math.ceil(atMs - clock.monotonic())), run));
    },
    clear(): void {
      for (const cancel of cancels.values()) cancel();
      cancels.clear();
    },
  };
}

function stopGraceMs({ wanted, state }: Machine): number {
  return "process" in state ? state.process.stopGraceMs : (wanted?.spec.stopGraceMs ?? 0);
}

interface Waiting {
  readonly onChange: (listener: () => void) => () => void;
  readonly clock: Clock;
  readonly withinMs: number;
}

/** Resolves to true as soon as the condition holds, to false when it does not in time. */
function until(isMet: () => boolean, { onChange, clock, withinMs }: Waiting): Promise<boolean> {
  if (isMet()) return Promise.resolve(true);
  return new Promise((resolve) => {
    const finish = (result: boolean) => {
      forget();
      cancel();
      resolve(result);
    };
    const forget = onChange(() => isMet() && finish(true));
    const cancel = clock.after(withinMs, () => finish(false));
  });
}

/** A machine also changes with every probe; what is said of it hardly ever. Time is held still to compare. */
function showsChange(before: Machine, after: Machine): boolean {
  return before !== after && describe(before) !== describe(after);
}

const describe = (machine: Machine): string => JSON.stringify(toProcessStatus("", machine, 0));
