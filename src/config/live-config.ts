import type { Clock } from "../base/clock.ts";
import { describeError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { type ConfigChange, compareConfigs, findRestarts } from "./config-changes.ts";
import { ConfigError, type ConfigProblem, describeProblem } from "./config-error.ts";
import { followFiles } from "./follow-files.ts";
import type { LoadedConfig } from "./load.ts";

/**
 * Makes everything ready for another configuration: all that can fail, and nothing that shows. The returned function
 * makes it hold; it must not throw.
 */
export type PrepareConfig = (next: LoadedConfig) => Promise<() => void>;

export interface LiveConfigOptions {
  /** What this process was started with. */
  readonly loaded: LoadedConfig;
  readonly prepare: PrepareConfig;
  /** Called after every reload that changed what `state` says. */
  readonly onChange?: (state: LiveConfigState) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What came of a reload. */
export type ReloadReport =
  | { readonly outcome: "applied" | "unchanged"; readonly changes: readonly ConfigChange[] }
  | { readonly outcome: "refused"; readonly problems: readonly ConfigProblem[] };

export const reloadOutcomes = ["applied", "unchanged", "refused"] as const satisfies ReloadReport["outcome"][];

export interface LiveConfigState {
  /** Milliseconds since the epoch. */
  readonly inForceSince: number;
  /** What is wrong with the file as it is now, and since when it is not the one in force. */
  readonly refused: { readonly since: number; readonly problems: readonly ConfigProblem[] } | undefined;
  /** How often each came, since this process started. */
  readonly reloads: Readonly<Record<ReloadReport["outcome"], number>>;
}

/** The configuration of a running process: another one takes its place as a whole, or not at all. */
export class LiveConfig {
  readonly #options: LiveConfigOptions;
  #current: LoadedConfig;
  #state: LiveConfigState;
  #running: Promise<unknown> = Promise.resolve();
  #stopFollowing: (() => Promise<void>) | undefined;
  #isClosed = false;

  constructor(options: LiveConfigOptions) {
    this.#options = options;
    this.#current = options.loaded;
    this.#state = {
      inForceSince: options.clock.now(),
      refused: undefined,
      reloads: { applied: 0, unchanged: 0, refused: 0 },
    };
  }

  /** The one in force. */
  get current(): LoadedConfig {
    return this.#current;
  }

  get state(): LiveConfigState {
    return this.#state;
  }

  /** Reloads whenever the file changes; also when none was there at the start and one comes. */
  follow(): void {
    this.#stopFollowing ??= followFiles({
      paths: () => this.#current.candidates,
      onChange: async () => {
        await this.#inTurn(() => this.#reload(false));
      },
      clock: this.#options.clock,
    });
  }

  /** Reads the file and makes it hold. What is wrong with it is in the report; rejects never. */
  reload(): Promise<ReloadReport> {
    return this.#inTurn(() => this.#reload(true));
  }

  /** Resolves once a reload that is under way has ended; none follows. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#stopFollowing?.();
    await this.#running;
  }

  #inTurn(run: () => Promise<ReloadReport>): Promise<ReloadReport> {
    const report = this.#running.then(run);
    this.#running = report;
    return report;
  }

  async #reload(isAsked: boolean): Promise<ReloadReport> {
    if (this.#isClosed) return { outcome: "unchanged", changes: [] };
    let next: LoadedConfig | undefined;
    try {
      next = await this.#current.again();
      const changes = next.digest === this.#current.digest ? [] : compareConfigs(this.#current.config, next.config);
      if (changes.length > 0) await this.#apply(next, changes);
      return this.#keep(next, changes, isAsked);
    } catch (error) {
      return this.#refuse(problemsOf(error, next ?? this.#current));
    }
  }

  async #apply(next: LoadedConfig, changes: readonly ConfigChange[]): Promise<void> {
    const restarts = findRestarts(changes, next.whereIs);
    if (restarts.length > 0) throw new ConfigError(restarts);
    const commit = await this.#options.prepare(next);
    commit();
  }

  #keep(next: LoadedConfig, changes: readonly ConfigChange[], isAsked: boolean): ReloadReport {
    const outcome = changes.length > 0 ? "applied" : "unchanged";
    const { log, clock } = this.#options;
    const wasRefused = this.#state.refused !== undefined;
    this.#current = next;
    if (outcome === "applied") {
      const keys = changes.map(({ key, kind }) => `${key} ${kind}`);
      log.info({ file: next.file, changes: keys }, "configuration applied");
    } else if (wasRefused) {
      log.info({ file: next.file }, "the configuration file is again what is in force");
    }
    // The look at the start, and a file that was only touched, are no reloads.
    if (outcome === "applied" || wasRefused || isAsked) {
      const inForceSince = outcome === "applied" ? clock.now() : this.#state.inForceSince;
      this.#tell({ inForceSince, refused: undefined, reloads: this.#count(outcome) });
    }
    return { outcome, changes };
  }

  #refuse(problems: readonly ConfigProblem[]): ReloadReport {
    const { log, clock } = this.#options;
    const since = this.#state.refused?.since ?? clock.now();
    log.error(
      { problems: problems.map(describeProblem) },
      "configuration refused: nothing of it holds, the one before stays in force",
    );
    this.#tell({ ...this.#state, refused: { since, problems }, reloads: this.#count("refused") });
    return { outcome: "refused", problems };
  }

  #count(outcome: ReloadReport["outcome"]): LiveConfigState["reloads"] {
    return { ...this.#state.reloads, [outcome]: this.#state.reloads[outcome] + 1 };
  }

  #tell(state: LiveConfigState): void {
    this.#state = state;
    this.#options.onChange?.(state);
  }
}

function problemsOf(error: unknown, loaded: LoadedConfig): readonly ConfigProblem[] {
  if (error instanceof ConfigError) return error.problems;
  return [{ where: loaded.file ?? "configuration", path: "", message: describeError(error) }];
}
