import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "../base/logger.ts";
import { createLogger, type LogLevel } from "../observability/logger.ts";

/** The log of the parent process itself; `nexus logs control` reads it. */
export interface ControlLog {
  readonly log: Logger;
  close(): void;
}

/** Appends to `control.log`, where the supervisor keeps it bounded as every other log. */
export function openControlLog(directory: string, level: () => LogLevel): ControlLog {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = openSync(join(directory, "control.log"), "a", 0o600);
  let isOpen = true;
  const destination = {
    write(line: string) {
      // Its number may belong to another file by now.
      if (!isOpen) return;
      try {
        writeSync(file, line);
      } catch {
        // A full disk costs log lines and nothing else.
      }
    },
  };
  return {
    log: createLogger({ level, destination, fields: { process: "control" } }),
    close() {
      if (isOpen) closeSync(file);
      isOpen = false;
    },
  };
}
