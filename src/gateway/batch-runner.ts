import { describeError } from "../base/errors.ts";
import { BatchRun, type BatchRunParts } from "./batch-run.ts";
import type { Batches } from "./gateway-parts.ts";

/** A process that is killed leaves its batches to others after this. */
const leaseMs = 10_000;
/** How often leases are renewed, and batches looked for whose end was asked for elsewhere. */
const tickMs = 400;
/** A batch that could not go on is left alone for so long. */
const failedMs = 10_000;
/** How often this process looks for work while it has room for more. */
const claimMs = 1_000;

/** Works on batches that nobody else works on. One in each gateway process. */
export class BatchRunner implements Batches {
  #parts: BatchRunParts;
  readonly #runs = new Map<string, { readonly run: BatchRun; readonly done: Promise<void> }>();
  #renewedAt: number;
  #claimedAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;
  #cancelTick: () => void;
  #ticking: Promise<void> = Promise.resolve();
  #isAway = false;
  readonly #closing = Promise.withResolvers<void>();

  constructor(parts: BatchRunParts) {
    this.#parts = parts;
    this.#renewedAt = parts.clock.monotonic();
    this.#cancelTick = parts.clock.after(tickMs, () => this.#tick());
  }

  get openMax(): number {
    return this.#parts.settings.openMax;
  }

  /** Holds for batches that are begun from now on, or taken up again; those that run end as they began. */
  configure(settings: BatchRunParts["settings"]): void {
    this.#parts = { ...this.#parts, settings };
    this.wake();
  }

  /** There is something to do. */
  wake(): void {
    this.#claimedAt = Number.NEGATIVE_INFINITY;
    if (this.#isClosed) return;
    this.#cancelTick();
    this.#cancelTick = this.#parts.clock.after(0, () => this.#tick());
  }

  /** Stops a batch that this process works on, at once. */
  cancel(id: string): void {
    this.#runs.get(id)?.run.stop("cancelled");
  }

  /** Lets lines that are asked end for up to `graceMs`; then others may go on with the batches. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    this.#closing.resolve();
    this.#cancelTick();
    await this.#ticking;
    const runs = [...this.#runs.values()];
    for (const { run } of runs) run.stop("closing");
    const cancel = this.#parts.clock.after(graceMs, () => {
      for (const { run } of runs) run.cut();
    });
    await Promise.all(runs.map(({ done }) => done));
    cancel();
  }

  #tick(): void {
    this.#ticking = this.#ticking
      .then(() => this.#renewAndClaim())
      .then(() => {
        if (!this.#isClosed) this.#cancelTick = this.#parts.clock.after(tickMs, () => this.#tick());
      });
  }

  /** Never rejects: while the database is away, what runs goes on as long as nobody else can have it. */
  async #renewAndClaim(): Promise<void> {
    const { log, clock } = this.#parts;
    try {
      if (this.#runs.size > 0) await this.#renew();
      await this.#claim();
      this.#isAway = false;
    } catch (error) {
      if (!this.#isAway) log.warn({ reason: describeError(error) }, "batches cannot be looked for");
      this.#isAway = true;
      // By now the leases may be somebody else's.
      if (clock.monotonic() - this.#renewedAt > leaseMs) for (const { run } of this.#runs.values()) run.stop("lost");
    }
  }

  async #renew(): Promise<void> {
    const { store, holder, clock } = this.#parts;
    const startedAt = clock.monotonic();
    const held = await store.renew({ holder, until: clock.now() + leaseMs });
    this.#renewedAt = startedAt;
    for (const [id, { run }] of this.#runs) {
      const status = held.get(id);
      if (status === "cancelling") run.stop("cancelled");
      else if (status === undefined) run.stop("lost");
    }
  }

  async #claim(): Promise<void> {
    const { store, holder, clock, settings } = this.#parts;
    const room = settings.atOnce - this.#runs.size;
    const now = clock.monotonic();
    if (room <= 0 || this.#isClosed || now - this.#claimedAt < claimMs) return;
    this.#claimedAt = now;
    if (this.#runs.size === 0) this.#renewedAt = now;
    for (const batch of await store.claim({ holder, until: clock.now() + leaseMs }, room)) {
      const run = new BatchRun(batch, this.#parts);
      this.#runs.set(batch.id, { run, done: this.#follow(run) });
    }
  }

  async #pauseUnlessClosed(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#parts.clock.after(failedMs, resolve);
    await Promise.race([promise, this.#closing.promise]);
    cancel();
  }

  async #follow(run: BatchRun): Promise<void> {
    const { store, holder, log } = this.#parts;
    const { id } = run.batch;
    if (!(await run.run())) await this.#pauseUnlessClosed();
    this.#runs.delete(id);
    try {
      await store.release(holder, id);
    } catch (error) {
      log.debug({ batch: id, reason: describeError(error) }, "the lease of a batch runs out by itself");
    }
    // There may be more to do.
    this.wake();
  }
}
