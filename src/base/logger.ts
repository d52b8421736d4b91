/** Structured fields of a log line. Never prompts, tokens or keys. */
export type LogFields = Readonly<Record<string, unknown>>;

/** What rooms log through; `observability/logger.ts` implements it. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  child(fields: LogFields): Logger;
}

/** Says nothing. For tests and verbs whose output is their answer. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
};
