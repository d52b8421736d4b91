import type { ApplicationContext } from "@stricli/core";
import type { Interrupts } from "./interrupts.ts";
import type { Roles } from "./roles.ts";
import type { Terminal } from "./terminal.ts";

/** All that a verb may use of the world. Built once in `main.ts`; tests build their own. */
export interface CliContext extends ApplicationContext {
  readonly terminal: Terminal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  /** For line editing; everything else goes through `terminal`. */
  readonly stdout: NodeJS.WritableStream;
  readonly interrupts: Interrupts;
  /** The file that runs verbs, to start roles with. */
  readonly entry: string;
  readonly version: string;
  readonly roles: Roles;
}
