import type { LoadedConfig } from "../config/load.ts";
import type { DataPaths } from "../config/paths.ts";
import type { PlatformStatus } from "../control/status.ts";

/** What `up` needs to know beyond the configuration. */
export interface PlatformRequest {
  readonly loaded: LoadedConfig;
  readonly version: string;
  /** The file that runs verbs and roles: children are started with it. */
  readonly entry: string;
  /** Passed on to children. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A platform in this process. */
export interface StartedPlatform {
  /** Makes an API key if there has never been one: to be shown at once, for it is kept nowhere. */
  makeFirstKey(): Promise<string | undefined>;
  status(): PlatformStatus;
  /** Reads the configuration file again; the log and the status say what came of it. */
  reload(): void;
  /** Stops everything in order; requests in flight may end. Idempotent. */
  stop(): Promise<void>;
  /** Kills what still runs; for whoever can't wait for `stop`, which ends soon then. */
  kill(): void;
  /** Resolves when somebody stopped it, by `stop` or over the control API. */
  readonly stopped: Promise<void>;
}

/** What `main.ts` wires in: verbs reach the roles without knowing them. Loaded when they are called. */
export interface Roles {
  /** @throws CliError or NexusError when it can't start; nothing is left behind then. */
  startPlatform(request: PlatformRequest): Promise<StartedPlatform>;
  /** Names of the processes of a platform that live, also when their parent is dead. */
  findOrphans(paths: DataPaths): Promise<readonly string[]>;
  /** Stops what a dead platform left running. Resolves to the names of the processes. */
  stopOrphans(request: {
    readonly paths: DataPaths;
    readonly environment: PlatformRequest["environment"];
  }): Promise<readonly string[]>;
  /** Resolves when it serves; owns the process from then on and ends it after it has drained. */
  runGateway(request: {
    readonly loaded: LoadedConfig;
    readonly environment: PlatformRequest["environment"];
    /** Has `reload` called when the process gets a SIGHUP. */
    readonly onHangup: (reload: () => void) => void;
  }): Promise<void>;
}
