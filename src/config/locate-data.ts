import { join, resolve } from "node:path";
import { type DataPaths, dataPaths } from "./paths.ts";

export interface DataFlags {
  /** `--data`; absent means: not said. */
  readonly data?: string | undefined;
}

/** All that decides where a platform keeps its things. */
export interface DataLocation {
  readonly flags: DataFlags;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  readonly homeDirectory: string;
}

/** `--data`, else NEXUS_DATA, else `~/.nexus`. Kept apart from the schema, so that verbs which need no more start fast. */
export function locateData({ flags, environment, workingDirectory, homeDirectory }: DataLocation): DataPaths {
  const chosen = flags.data ?? said(environment.NEXUS_DATA) ?? join(homeDirectory, ".nexus");
  return dataPaths(resolve(workingDirectory, chosen));
}

/** An empty variable is one that was not set: `NEXUS_PORT= nexus up`. */
export function said(text: string | undefined): string | undefined {
  return text === undefined || text === "" ? undefined : text;
}
