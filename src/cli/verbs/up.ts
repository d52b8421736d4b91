import type { PlatformStatus, ProcessInfo } from "../../control/status.ts";
import { CliError } from "../cli-error.ts";
import type { CliContext } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import type { ConfigFlag, DataFlag, JsonFlag } from "../flags.ts";
import { findLogEnds, followLogs, type LogLine, listLogs, toJsonLine } from "../log-files.ts";
import type { StartedPlatform } from "../roles.ts";
import { createStageView, type StageView } from "../stage-view.ts";
import { describeStarted, type StartedSummary } from "../started-summary.ts";
import type { Print, Verb } from "../verb.ts";
import { loadVerbConfig } from "../verb-config.ts";

export interface UpFlags extends DataFlag, ConfigFlag, JsonFlag {
  readonly host?: string;
  readonly port?: number;
  readonly builtin?: boolean;
  readonly discovery?: boolean;
  readonly detach?: boolean;
  readonly logs?: boolean;
}

/** `nexus up` */
export const up: Verb<UpFlags, []> = async ({ context, print }, flags) => {
  if (flags.logs === true && (flags.json === true || flags.detach === true)) {
    throw new CliError(exitCodes.usage, "usage", "--logs fills stdout with log lines: leave --json and --detach out.");
  }
  const loaded = await loadVerbConfig(context, flags);
  const { terminal } = context;
  terminal.note(...loaded.warnings.map((warning) => `${terminal.paintNote("yellow", "warning:")} ${warning}`));
  if (flags.detach === true) {
    const { startDetached } = await import("../start-detached.ts");
    return startDetached(context, flags, loaded.paths);
  }
  const { entry, version, environment } = context;
  const stopper = createStopper(context);
  let forgetHangup = () => {};
  const endLogs = flags.logs === true ? await printLogs(context, loaded.paths.logs) : undefined;
  try {
    const platform = await context.roles.startPlatform({ loaded, version, entry, environment });
    stopper.use(platform);
    forgetHangup = context.interrupts.onHangup(() => platform.reload());
    await present(context, platform, flags, print);
    await platform.stopped;
  } finally {
    forgetHangup();
    stopper.release();
    await endLogs?.();
  }
  if (flags.logs !== true) terminal.note("Nexus has stopped.");
  return undefined;
};

/** Prints what the processes log from now on; the returned function ends that, with the lines of the last moment. */
async function printLogs({ terminal }: CliContext, directory: string): Promise<() => Promise<void>> {
  const from = await findLogEnds(directory, await listLogs(directory));
  const end = new AbortController();
  const onLine = (line: LogLine) => terminal.print(toJsonLine(line));
  const followed = followLogs({ directory, from, withNew: true, signal: end.signal, onLine });
  return async () => {
    end.abort();
    await followed;
  };
}

/** Shows how it comes up and what came of it. One that can't come up is stopped: nobody would look after it. */
async function present(context: CliContext, platform: StartedPlatform, flags: UpFlags, print: Print): Promise<void> {
  const isScript = flags.json === true || flags.logs === true;
  try {
    const view = flags.logs === true ? undefined : createStageView(context.terminal);
    const status = await waitUntilStarted(platform, isScript, view);
    // Logs are kept and passed on: no place for a key.
    if (status === undefined || flags.logs === true) return;
    const summary: StartedSummary = { status, first_key: (await platform.makeFirstKey()) ?? null };
    print({ json: summary, text: describeStarted(summary, context, { isDetached: false }) });
  } catch (error) {
    await platform.stop();
    throw error;
  }
}

/** The first interrupt stops in order, also when it came before there was anything to stop; the second at once. */
function createStopper({ terminal, interrupts }: CliContext) {
  // One that came before anybody had taken interrupts counts, too.
  let count = interrupts.signal.aborted ? 1 : 0;
  let platform: StartedPlatform | undefined;
  const act = () => {
    if (count === 1) platform?.stop().catch(() => {});
    if (count > 1) platform?.kill();
  };
  const release = interrupts.take(() => {
    count++;
    if (count === 1) terminal.note("", "Stopping; requests in flight may end. Ctrl-C again ends them.");
    act();
  });
  return {
    release,
    use(started: StartedPlatform) {
      platform = started;
      act();
    },
  };
}

/** How often the screen is drawn and the state looked at. */
const frameMs = 120;
/** A service that is ready is in the registry within this. */
const registrationMs = 3_000;

/**
 * Shows the stages until everything has come up or failed; for scripts, only until the gateway takes requests.
 * Undefined when the platform was stopped before.
 */
async function waitUntilStarted(
  platform: StartedPlatform,
  isScript: boolean,
  view: StageView | undefined,
): Promise<PlatformStatus | undefined> {
  let settledAt: number | undefined;
  let isStopped = false;
  const stopped = platform.stopped.then(() => {
    isStopped = true;
  });
  try {
    for (;;) {
      const status = platform.status();
      if (isStopped || status.state === "stopping") return undefined;
      refuseDeadGateway(status.processes);
      view?.update(status);
      if (status.state === "ready" && isScript) return status;
      if (status.state === "ready" && status.processes.every(isSettled)) {
        settledAt ??= performance.now();
        const waits =
          status.processes.some(({ name, ready }) => name === "llm" && ready === true) && status.models.length === 0;
        if (!waits || performance.now() - settledAt > registrationMs) return status;
      }
      await Promise.race([stopped, new Promise((resolve) => setTimeout(resolve, frameMs))]);
    }
  } finally {
    view?.close();
  }
}

/** Nothing more will happen to it by itself. */
function isSettled(process: ProcessInfo): boolean {
  if (process.state === "failed" || process.state === "backoff" || process.restarts > 0) return true;
  if (process.state !== "running") return false;
  return process.ready !== false || process.readiness?.state === "failed";
}

function refuseDeadGateway(processes: readonly ProcessInfo[]): void {
  const gateway = processes.find(({ name }) => name === "gateway");
  if (gateway?.state !== "failed") return;
  throw new CliError(
    exitCodes.failed,
    "gateway_failed",
    `The gateway does not start: ${gateway.reason ?? "unknown reason"}.`,
    {
      hint: "`nexus logs gateway` tells why.",
    },
  );
}
