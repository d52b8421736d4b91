import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { Driver, ProcessHandle } from "./driver.ts";
import { createMachineLoop, type MachineLoop } from "./machine-loop.ts";
import { checkSpecs, type ProcessSpec, specDigest } from "./process-spec.ts";
import type { ProcessStatus } from "./process-status.ts";
import { defaultSupervisionPolicy, type SupervisionPolicy, type Wanted } from "./reconcile.ts";

export interface SupervisorOptions {
  /** What shall run, in the order of starting. */
  readonly specs: readonly ProcessSpec[];
  readonly driver: Driver;
  readonly clock: Clock;
  readonly log: Logger;
  /** Default `defaultSupervisionPolicy`. */
  readonly policy?: SupervisionPolicy;
  /** Between 0 and 1, for spreading restarts. Default `Math.random`. */
  readonly random?: () => number;
}

export type StatusListener = (statuses: readonly ProcessStatus[]) => void;

/** Keeps a host's processes running: starts, adopts, watches, restarts and stops them. */
export interface Supervisor {
  /**
   * Takes over what an earlier supervisor left, stops what is no longer wanted, starts the rest. Resolves when all that
   * has been set going; `status` tells how it goes. Once only.
   */
  start(): Promise<void>;
  /**
   * Stops all, the last one first and each before the next, so that one that drains still finds what it depends on.
   * Takes at most the sum of all `stopGraceMs` and 2 s each; what survives SIGKILL so long is logged and left.
   */
  stop(): Promise<void>;
  /** In the order of the specs; then what is being stopped for good. */
  status(): readonly ProcessStatus[];
  /**
   * Stops and starts one anew and forgets its past faults: the way out of `failed`. Does not wait.
   * @throws NexusError `not_found` for an unknown name, `conflict` when the supervisor does not run.
   */
  restart(name: string): void;
  /**
   * Replaces what shall run: starts the new, stops the missing, replaces the changed, leaves the same alone.
   * @throws NexusError `invalid_request` on a bad or double name, `conflict` once it is stopping.
   */
  set(specs: readonly ProcessSpec[]): void;
  /** Calls `listener` after changes, never synchronously, until the returned function is called. */
  onChange(listener: StatusListener): () => void;
}

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { driver, clock, log } = options;
  const { policy = defaultSupervisionPolicy, random = Math.random } = options;
  const loop = createMachineLoop({ driver, clock, log, policy, random });
  let wanted = toWanted(options.specs);
  let phase: "new" | "opening" | "running" | "over" = "new";
  let stopping: Promise<void> | undefined;

  const names = () => [...new Set([...wanted.keys(), ...loop.names()])];
  const status = () => names().map((name) => loop.status(name));

  return {
    async start() {
      if (phase !== "new") throw new NexusError("conflict", "Nexus has been started before; start a new process.");
      phase = "opening";
      const found = await driver.open();
      if (phase !== "opening") return;
      phase = "running";
      begin(loop, found, wanted, clock);
    },
    stop() {
      phase = "over";
      stopping ??= stopAll(loop, names().reverse(), log).finally(() => {
        loop.close();
        driver.close();
      });
      return stopping;
    },
    status,
    restart(name) {
      if (!wanted.has(name)) {
        const known = [...wanted.keys()].join(", ") || "none";
        throw new NexusError("not_found", `Nexus runs no \`${name}\` on this host. It runs: ${known}.`);
      }
      if (phase !== "running") throw new NexusError("conflict", "Nexus is not up; nothing can be restarted now.");
      loop.dispatch(name, { kind: "restart" });
    },
    set(specs) {
      if (phase === "over") throw new NexusError("conflict", "Nexus is stopping; nothing is started any more.");
      wanted = toWanted(specs);
      if (phase === "running") apply(loop, wanted);
    },
    onChange: (listener) => listenCoalesced(loop, () => listener(status())),
  };
}

type WantedByName = ReadonlyMap<string, Wanted>;

function toWanted(specs: readonly ProcessSpec[]): WantedByName {
  checkSpecs(specs);
  return new Map(specs.map((spec) => [spec.name, { spec, digest: specDigest(spec) }]));
}

function begin(loop: MachineLoop, found: readonly ProcessHandle[], wanted: WantedByName, clock: Clock): void {
  for (const process of found) {
    const ageMs = Math.max(0, clock.now() - process.startedAt);
    loop.dispatch(process.name, { kind: "found", process, ageMs, wanted: wanted.get(process.name) });
  }
  apply(loop, wanted);
}

function apply(loop: MachineLoop, wanted: WantedByName): void {
  for (const name of loop.names()) if (!wanted.has(name)) loop.dispatch(name, { kind: "unwanted" });
  for (const [name, each] of wanted) loop.dispatch(name, { kind: "wanted", wanted: each });
}

async function stopAll(loop: MachineLoop, names: readonly string[], log: Logger): Promise<void> {
  for (const name of names) {
    const isGone = await loop.stop(name);
    if (!isGone) log.error({ process: name, pid: loop.status(name).pid }, "survived SIGKILL and is left behind");
  }
}

/** Many changes of one turn of the event loop make one call, after it. */
function listenCoalesced(loop: MachineLoop, listener: () => void): () => void {
  let isPending = false;
  let isListening = true;
  const forget = loop.onChange(() => {
    if (isPending) return;
    isPending = true;
    queueMicrotask(() => {
      isPending = false;
      if (isListening) listener();
    });
  });
  return () => {
    isListening = false;
    forget();
  };
}
