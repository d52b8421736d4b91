import { type Machine, wakeAtMs } from "./reconcile.ts";

/** A supervised process as people and other rooms see it. */
export interface ProcessStatus {
  readonly name: string;
  readonly state: "stopped" | "starting" | "running" | "stopping" | "backoff" | "failed";
  /** While there is a process. */
  readonly pid: number | undefined;
  /** Of the process; milliseconds since the epoch. */
  readonly startedAt: number | undefined;
  /** Started by an earlier supervisor and taken over. */
  readonly isAdopted: boolean;
  /** The answer of its last readiness check; undefined when it has none or does not run. */
  readonly isReady: boolean | undefined;
  /** Where it listens, once that is known. */
  readonly url: string | undefined;
  /** After a fault, within the window of the restart limit. */
  readonly restarts: number;
  /** The last fault, as `exited with code 1`; undefined when all went well since the last fresh start. */
  readonly reason: string | undefined;
  /** In `backoff`: milliseconds from now to the next start. */
  readonly retryInMs: number | undefined;
  readonly logFile: string | undefined;
}

/** `nowMs` is the monotonic time of the machine's clock. */
export function toProcessStatus(name: string, machine: Machine, nowMs: number): ProcessStatus {
  const { state } = machine;
  const process = state.kind === "running" || state.kind === "stopping" ? state.process : undefined;
  const running = state.kind === "running" ? state : undefined;
  const fault = state.kind === "stopping" ? state.fault : undefined;
  const retryAtMs = state.kind === "backoff" ? wakeAtMs(state) : undefined;
  return {
    name,
    state: state.kind,
    pid: process?.pid,
    startedAt: process?.startedAt,
    isAdopted: process?.isAdopted ?? false,
    isReady: running?.isReady,
    url: running?.url,
    restarts: machine.restartedMs.length,
    reason: fault ?? machine.lastFault,
    retryInMs: retryAtMs === undefined ? undefined : Math.max(0, retryAtMs - nowMs),
    logFile: process?.logFile,
  };
}
