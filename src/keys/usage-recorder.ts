import { randomUUID } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { describeError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { SpendWatch } from "./spend-watch.ts";
import type { UsageBatch, UsageEntry } from "./usage.ts";
import { createUsageSpool, type UsageSpool } from "./usage-spool.ts";
import type { UsageStore } from "./usage-store.ts";
import { UsageTally } from "./usage-tally.ts";

export interface UsageRecorderOptions {
  readonly store: UsageStore;
  /** Told of what is spent with every write, and every two seconds without one. */
  readonly spend: SpendWatch;
  /** For what the database doesn't take. Shared by all gateways of a host. */
  readonly spoolDirectory: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Adds up what requests use and writes it to the database once a second. While the database is away, it goes on in
 * memory and on disk, and is written when the database is back: nothing twice, nothing lost. What a process has
 * counted in its last second is lost only when it is killed.
 */
export interface UsageRecorder {
  /** At once, never fails. */
  record(entry: UsageEntry): void;
  /** Writes what there is now. Resolves to whether the database has all of it. */
  flush(): Promise<boolean>;
  /** Writes the rest, to disk when the database doesn't take it. */
  close(): Promise<void>;
}

const intervalMs = 1_000;
/** Looks for what other processes have left; also the first time. */
const adoptEveryTicks = 30;
const spendEveryTicks = 2;
/** How long a stopping process waits for the database. */
const closeTimeoutMs = 3_000;

export function createUsageRecorder(options: UsageRecorderOptions): UsageRecorder {
  const recorder = new BatchingRecorder(options);
  recorder.start();
  return recorder;
}

class BatchingRecorder implements UsageRecorder {
  readonly #options: UsageRecorderOptions;
  readonly #id = randomUUID();
  readonly #spool: UsageSpool;
  #tally = new UsageTally();
  /** On its way, perhaps already there: from now on it never changes. */
  #sending: UsageBatch | undefined;
  #lastNumber = 0;
  #ticks = 0;
  #writing: Promise<boolean> | undefined;
  #keeping = Promise.resolve();
  #isAway = false;
  #isSpoolBroken = false;
  #isClosed = false;
  #stopTimer = () => {};

  constructor(options: UsageRecorderOptions) {
    this.#options = options;
    this.#spool = createUsageSpool(options.spoolDirectory, this.#id);
  }

  start(): void {
    this.#stopTimer = this.#options.clock.after(intervalMs, () => {
      void this.#tick().then(() => {
        if (!this.#isClosed) this.start();
      });
    });
  }

  record(entry: UsageEntry): void {
    this.#tally.add(entry, this.#options.clock.now());
  }

  async flush(): Promise<boolean> {
    // The write that is under way holds what was counted before it began.
    await this.#writing;
    return this.#write();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopTimer();
    const { promise: timeout, resolve } = Promise.withResolvers<boolean>();
    const cancel = this.#options.clock.after(closeTimeoutMs, () => resolve(false));
    const isDone = await Promise.race([this.flush(), timeout]);
    cancel();
    if (!isDone) await this.#keep();
  }

  /** A database that takes long to answer must not keep usage from the disk. */
  async #tick(): Promise<void> {
    const wasWriting = this.#writing !== undefined;
    const writing = this.#writing ?? this.#write();
    if (wasWriting) await this.#keep();
    else {
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const cancel = this.#options.clock.after(intervalMs, resolve);
      await Promise.race([writing, late]);
      cancel();
    }
  }

  /** Never rejects; whether everything that was counted when it began is in the database. */
  #write(): Promise<boolean> {
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async #writeAll(): Promise<boolean> {
    const { spend, store } = this.#options;
    try {
      // A batch that was tried before goes first, and as it was.
      if (this.#sending !== undefined) await this.#send(this.#sending);
      if (!this.#tally.isEmpty) await this.#send(this.#cut());
      const round = this.#ticks % spendEveryTicks === 0 ? spend.round() : undefined;
      if (round !== undefined && round.queries.length > 0) round.answer(await store.spend(round.queries));
      if (this.#ticks % adoptEveryTicks === 0) await this.#adopt();
      this.#ticks++;
      if (this.#isAway) this.#options.log.info({}, "the database is back: usage is written again");
      this.#isAway = false;
      await this.#keep();
      return true;
    } catch (error) {
      if (!this.#isAway) {
        const fields = { reason: describeError(error) };
        this.#options.log.error(fields, "usage cannot be written to the database; it is kept on disk until it can");
      }
      this.#isAway = true;
      await this.#keep();
      return false;
    }
  }

  #cut(): UsageBatch {
    const batch = { recorder: this.#id, number: ++this.#lastNumber, rows: this.#tally.rows() };
    this.#tally = new UsageTally();
    return batch;
  }

  async #send(batch: UsageBatch): Promise<void> {
    this.#sending = batch;
    const round = this.#options.spend.round();
    const spend = await this.#options.store.apply(batch, round.queries);
    this.#sending = undefined;
    round.answer(spend, batch);
  }

  /** Brings the file on disk in line with what the database doesn't have; one write at a time. */
  #keep(): Promise<void> {
    this.#keeping = this.#keeping.then(() => this.#keepNow());
    return this.#keeping;
  }

  async #keepNow(): Promise<void> {
    const sending = this.#sending === undefined ? [] : [this.#sending];
    const number = this.#lastNumber + 1;
    const rest =
      this.#tally.isEmpty || !this.#mustKeep() ? [] : [{ recorder: this.#id, number, rows: this.#tally.rows() }];
    try {
      await this.#spool.write([...sending, ...rest]);
      this.#isSpoolBroken = false;
    } catch (error) {
      const fields = { reason: describeError(error) };
      if (!this.#isSpoolBroken) this.#options.log.error(fields, "usage cannot be kept on disk; it is kept in memory");
      this.#isSpoolBroken = true;
    }
  }

  /** While all is well the next second's write takes it. */
  #mustKeep(): boolean {
    return this.#isAway || this.#sending !== undefined || this.#isClosed;
  }

  async #adopt(): Promise<void> {
    const { log, store } = this.#options;
    const onDamaged = (path: string) => log.error({ path }, "a file of usage is damaged and was put aside");
    for (const { batches, remove } of await this.#spool.leftBehind(onDamaged)) {
      for (const batch of batches) await store.apply(batch, []);
      await remove();
      log.info({ batches: batches.length }, "usage that a stopped process had kept is in the database");
    }
  }
}
