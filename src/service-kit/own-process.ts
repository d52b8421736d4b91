import type { Logger } from "../base/logger.ts";

/**
 * Ties a process's life to its service's: SIGTERM and SIGINT drain and exit with 0, a second one exits with 1 at once,
 * and so does an error that nobody caught, after saying so. Returns what unties them.
 */
export function ownProcess(close: () => Promise<void>, log: Logger): () => void {
  let isAsked = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isAsked) {
      log.warn({ signal }, "asked twice, exiting at once");
      process.exit(1);
    }
    isAsked = true;
    void close().finally(() => process.exit(0));
  };
  // Rejections that nobody handled arrive here too: that is Node's default.
  const onDefect = (error: unknown): void => {
    log.error({ error }, "uncaught error, exiting");
    process.exit(1);
  };
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal).on("uncaughtException", onDefect);
  return () => {
    process.off("SIGTERM", onSignal).off("SIGINT", onSignal).off("uncaughtException", onDefect);
  };
}
