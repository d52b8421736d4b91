import { pino, stdTimeFunctions } from "pino";
import type { LogFields, Logger } from "../base/logger.ts";
import { redactFields, redactText } from "./redact.ts";

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Takes one line at a time, each with its final newline. A `Writable` is one. */
export interface LogDestination {
  write(line: string): unknown;
}

export interface LoggerOptions {
  /** Lines below it are not written. Default `info`. */
  readonly level?: LogLevel;
  /** Default: the process's stdout, written synchronously, so that the last line before a crash is there. */
  readonly destination?: LogDestination;
  /** Stand on every line: who is speaking. */
  readonly fields?: LogFields;
}

/**
 * JSON lines `{level, time, ...fields, message}`, `time` in ISO 8601 and UTC. Secrets by name (`authorization`,
 * `api_key`, ...) and by look (`Bearer ...`, `nxs_...`, `sk-...`) never reach the destination, in fields, messages and errors.
 * A destination that fails, such as a closed pipe or a full disk, costs lines and never the process.
 */
export function createLogger(options: LoggerOptions = {}): Logger {
  const sink = pino(
    {
      level: options.level ?? "info",
      base: null,
      messageKey: "message",
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    options.destination ?? stdout(),
  );
  return wrap(sink.child(redactFields(options.fields ?? {})));
}

function stdout(): LogDestination {
  const destination = pino.destination({ fd: 1, sync: true });
  destination.on("error", () => {});
  return destination;
}

type Sink = ReturnType<typeof pino>;

function wrap(sink: Sink): Logger {
  const at =
    (level: "debug" | "info" | "warn" | "error") =>
    (fields: LogFields, message: string): void => {
      if (sink.isLevelEnabled(level)) sink[level](redactFields(fields), redactText(message));
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => wrap(sink.child(redactFields(fields))),
  };
}
