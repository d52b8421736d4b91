import type { Logger } from "../base/logger.ts";
import type { Machine } from "./reconcile.ts";

/** One line for every turn in a process's life; `error` where an operator has to act. `nowMs` is monotonic. */
export function logTurn(log: Logger, before: Machine, after: Machine, nowMs: number): void {
  const { state } = after;
  if (state.kind === before.state.kind) return;
  switch (state.kind) {
    case "running": {
      const { pid, logFile, isAdopted } = state.process;
      log.info({ pid, log_file: logFile }, isAdopted ? "adopted" : "started");
      return;
    }
    case "stopping":
      if (state.fault === undefined) log.info({ pid: state.process.pid }, "stopping");
      else log.warn({ pid: state.process.pid, reason: state.fault }, "hangs, is being replaced");
      return;
    case "backoff": {
      const retryInMs = Math.round(state.untilMs - nowMs);
      log.warn({ reason: state.reason, attempt: state.attempt, retry_in_ms: retryInMs }, "ended, is started again");
      return;
    }
    case "failed":
      log.error(
        { reason: state.reason, restarts: after.restartedMs.length },
        "FAILED: it ended again and again and is left alone now; read its log, then restart it",
      );
      return;
    case "stopped":
      log.info({}, "stopped");
      return;
    case "starting":
  }
}
