import type { LogFields, Logger } from "../base/logger.ts";
import { stdoutLog } from "./log-output.ts";
import { redactedJson, redactedMember } from "./redact.ts";

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Takes one line at a time, each with its final newline. A `Writable` is one. */
export interface LogDestination {
  /** `isUrgent`: a warning or an error, which must not wait for other lines. */
  write(line: string, isUrgent?: boolean): unknown;
}

export interface LoggerOptions {
  /** Lines below it are not written; a function is asked for every line. Default `info`. */
  readonly level?: LogLevel | (() => LogLevel);
  /** Default: the process's stdout, in batches of a tenth of a second; what waits is written when the process ends. */
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
  const { level = "info" } = options;
  const sink: Sink = {
    level: typeof level === "function" ? level : () => level,
    destination: options.destination ?? stdoutLog(),
  };
  return wrap(sink, membersOf(options.fields ?? {}));
}

interface Sink {
  /** The lowest that is written. */
  readonly level: () => LogLevel;
  readonly destination: LogDestination;
}

/** `bound` are the members of the logger's own fields, with a comma before each. */
function wrap(sink: Sink, bound: string): Logger {
  const at = (level: Exclude<LogLevel, "silent">) => {
    const rank = logLevels.indexOf(level);
    const isUrgent = rank >= logLevels.indexOf("warn");
    return (fields: LogFields, message: string): void => {
      if (rank < logLevels.indexOf(sink.level())) return;
      const head = `{"level":"${level}","time":"${timeText()}"${bound}${membersOf(fields)}`;
      sink.destination.write(`${head},"message":${redactedJson(message)}}\n`, isUrgent);
    };
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => wrap(sink, bound + membersOf(fields)),
  };
}

let lastMs = 0;
let lastText = "";

/** Now, in ISO 8601 and UTC. Lines of one millisecond share the text. */
function timeText(): string {
  const now = Date.now();
  if (now !== lastMs) {
    lastMs = now;
    lastText = new Date(now).toISOString();
  }
  return lastText;
}

/** Fields as the members of a JSON object, with a comma before each. What is undefined is left out. */
function membersOf(fields: LogFields): string {
  let members = "";
  for (const name in fields) if (fields[name] !== undefined) members += redactedMember(name, fields[name]);
  return members;
}
