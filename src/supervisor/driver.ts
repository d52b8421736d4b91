import type { ProcessSpec } from "./process-spec.ts";

/** One running process, as its driver knows it. Survives the supervisor that started it. */
export interface ProcessHandle {
  readonly name: string;
  /** Never the same for two processes, not even after a reboot. */
  readonly id: string;
  /** For people to look at; drivers act on `id`. */
  readonly pid: number;
  /** `specDigest` of what it was started with. */
  readonly specDigest: string;
  /** The `stopGraceMs` it was started with: holds too when nobody wants it any longer. */
  readonly stopGraceMs: number;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Started by an earlier supervisor. */
  readonly isAdopted: boolean;
  /** Where its output goes. */
  readonly logFile: string;
}

/** How a process ended. Both null when it was adopted: only its parent is told. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/**
 * What a supervisor does to processes. The decisions are `reconcile.ts`'s; a driver starts, finds, signals and watches,
 * and never restarts on its own.
 */
export interface Driver {
  /**
   * Begins the driver's upkeep and finds what an earlier supervisor left running, at most one process a name.
   * To be called once, before anything else.
   */
  open(): Promise<readonly ProcessHandle[]>;
  /**
   * Starts a process that outlives this one and can be found by the next supervisor from then on. Only to be called
   * while no process of that name runs. Rejects with the reason when it could not be started.
   */
  spawn(spec: ProcessSpec, digest: string): Promise<ProcessHandle>;
  /** Calls `onExit` once, when the process and all that it started have gone. Never calls it synchronously. */
  watch(process: ProcessHandle, onExit: (exit: ProcessExit) => void): void;
  /** Signals the process and all that it started. One that has gone is no error. */
  signal(process: ProcessHandle, signal: "SIGTERM" | "SIGKILL"): void;
  /** The base URL that the process has said it listens at, or undefined when it has not yet. */
  address(process: ProcessHandle): Promise<string | undefined>;
  /** Ends the upkeep. Leaves processes alone. */
  close(): void;
}
