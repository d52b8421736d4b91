import type { Config } from "./schema.ts";
import type { ConfigPath } from "./yaml-source.ts";

/** A part of the configuration that holds from start to stop. */
export interface RestartKey {
  readonly path: ConfigPath;
  /** Completes "takes a restart, because ...". */
  readonly because: string;
}

/** What can't change while a gateway runs. Everything else can. */
export const restartKeys: readonly RestartKey[] = [
  { path: ["listen"], because: "clients are connected there" },
  { path: ["gateway", "workers"], because: "processes are started with it" },
  { path: ["registry"], because: "the file is opened at the start" },
  { path: ["database"], because: "keys and usage are in the one that is open" },
  { path: ["files", "directory"], because: "the files of clients are in the one that is open" },
];

/** The parts of a configuration for which a gateway must be started anew, in a form to be compared. */
export function restartPart(config: Config): string {
  return JSON.stringify(restartKeys.map(({ path }) => valueAt(config, path) ?? null));
}

function valueAt(value: unknown, path: ConfigPath): unknown {
  return path.reduce<unknown>((node, part) => (node as Record<string | number, unknown> | undefined)?.[part], value);
}
