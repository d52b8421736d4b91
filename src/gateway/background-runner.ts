import type { Clock } from "../base/clock.ts";
import { describeError, NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { Lease } from "../objects/batch-store.ts";
import type { RunEvent, RunStore } from "../objects/run-store.ts";
import type { JsonObject } from "../translate/request-fields.ts";
import type { ResponseStore } from "../translate/response-store.ts";
import { asFailed } from "../translate/responses-background.ts";
import { type BackgroundAsking, BackgroundRun } from "./background-run.ts";
import type { ClientReply, ClientRequest } from "./client-io.ts";
import type { CollectedAnswer } from "./collected-reply.ts";
import type { Background } from "./gateway-parts.ts";

export interface BackgroundRunnerParts {
  readonly runs: RunStore;
  readonly responses: ResponseStore;
  /** Of one tenant, at the same time. */
  readonly runsMax: number;
  readonly serve: (request: ClientRequest, reply: ClientReply) => Promise<void>;
  readonly holder: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Answers of a process that is killed are given up after this. */
const leaseMs = 10_000;
/** How often leases are renewed, and answers looked for whose end was asked for elsewhere. */
const tickMs = 400;
/** What is wrong with a request shows within this: then its client is told at once, and nothing is kept. */
const settleMs = 250;
/** Between two writes of what an answer has said. */
const flushMs = 100;
/** Between two tries to write to a database that is away. */
const retryMs = 1_000;
/** How often what another process writes is looked for. */
const lookMs = 200;
/** For another process to end an answer that is to be cancelled. */
const cancelMs = 3_000;

/** Makes answers without their clients. One in each gateway process. */
export class BackgroundRunner implements Background {
  #parts: BackgroundRunnerParts;
  readonly #runs = new Map<string, { readonly run: BackgroundRun; readonly done: Promise<void> }>();
  /** Of whoever follows an answer of this process. */
  readonly #changes = new Map<string, PromiseWithResolvers<void>>();
  #cancelTick: () => void;
  #isClosed = false;
  #isGivenUp = false;

  constructor(parts: BackgroundRunnerParts) {
    this.#parts = parts;
    this.#cancelTick = parts.clock.after(tickMs, () => this.#tick());
  }

  /** Holds for answers that are begun from now on. */
  configure(runsMax: number): void {
    this.#parts = { ...this.#parts, runsMax };
  }

  async start(asking: BackgroundAsking): Promise<{ readonly response: JsonObject } | CollectedAnswer> {
    if (this.#isClosed) throw new NexusError("draining", "The gateway is shutting down.", { retryAfterSeconds: 1 });
    const { runs, responses, runsMax, serve } = this.#parts;
    const { tenant, id } = asking;
    const run = new BackgroundRun(asking);
    const { stored } = run;
    await runs.add({ tenant, id }, this.#lease(), runsMax);
    const { promise: done, resolve: end } = Promise.withResolvers<void>();
    this.#runs.set(id, { run, done });
    const forget = async () => {
      run.stop("lost");
      this.#runs.delete(id);
      await responses.delete(tenant, id).catch(() => {});
      end();
    };
    try {
      if (!(await responses.put(tenant, stored))) {
        throw new NexusError("request_too_large", "The input is larger than what is kept of an answer.");
      }
      const following = run.follow(serve);
      const refusal = await this.#within(settleMs, run.first);
      if (refusal === undefined) void this.#keep(run, following).then(end);
      else await forget();
      return refusal ?? { response: stored.response };
    } catch (error) {
      await forget();
      throw error;
    }
  }

  async cancel(tenant: string, id: string): Promise<void> {
    const { runs, clock } = this.#parts;
    await runs.cancel(tenant, id);
    this.#runs.get(id)?.run.stop("cancelled");
    const end = clock.monotonic() + cancelMs;
    while ((await runs.find(tenant, id)) !== undefined && clock.monotonic() < end) await this.#change(id);
  }

  async *events(tenant: string, id: string, after: number): AsyncGenerator<RunEvent> {
    const { runs, responses } = this.#parts;
    let last = after;
    let isWhole = false;
    for (;;) {
      // In this order: what was said last is there before it ends.
      const isOver = (await runs.find(tenant, id)) === undefined;
      const events = await runs.eventsAfter(tenant, id, last);
      for (const event of events) {
        last = event.sequence_number;
        isWhole = isLast(event);
        yield event;
      }
      if (events.length > 0) continue;
      if (isOver) break;
      await this.#change(id);
    }
    const [closing] = isWhole || after < 0 ? [] : await runs.eventsAfter(tenant, id, after - 1);
    if (isWhole || (closing !== undefined && isLast(closing))) return;
    // Whoever made it has gone, or its events have: its end is what there is of it.
    const stored = await responses.get(tenant, id);
    if (stored === undefined) return;
    const { response } = stored;
    yield { type: `response.${String(response.status)}`, sequence_number: last + 1, response };
  }

  /** Lets answers end for up to `graceMs`; the others fail. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    const cancel = this.#parts.clock.after(graceMs, () => {
      this.#isGivenUp = true;
      for (const { run } of this.#runs.values()) run.stop("closing");
    });
    await Promise.all([...this.#runs.values()].map(({ done }) => done));
    cancel();
    this.#cancelTick();
  }

  #lease(): Lease {
    return { holder: this.#parts.holder, until: this.#parts.clock.now() + leaseMs };
  }

  #tick(): void {
    void this.#renew().finally(() => {
      this.#cancelTick = this.#parts.clock.after(tickMs, () => this.#tick());
    });
  }

  /** Never rejects: while the database is away, what runs goes on as long as nobody has given it up. */
  async #renew(): Promise<void> {
    const known = [...this.#runs];
    if (known.length === 0) return;
    try {
      const held = await this.#parts.runs.renew(this.#lease());
      for (const [id, { run }] of known) {
        const status = held.get(id);
        if (status === "cancelling") run.stop("cancelled");
        else if (status === undefined) run.stop("lost");
      }
    } catch (error) {
      this.#parts.log.debug({ reason: describeError(error) }, "answers in the background cannot be renewed");
    }
  }

  /** Writes what an answer says as it comes, and in the end the answer. Never rejects. */
  async #keep(run: BackgroundRun, following: Promise<void>): Promise<void> {
    const { runs, log, clock } = this.#parts;
    const { tenant, id } = run;
    try {
      while (run.stopped !== "lost") {
        await run.untilNews();
        const { hasBegun, hasEnded } = run;
        const events = run.takeEvents();
        if (events.length > 0) await this.#untilDone(run, () => runs.addEvents(tenant, id, { events, hasBegun }));
        this.#tellChange(id);
        if (hasEnded) break;
        await new Promise<void>((resolve) => void clock.after(flushMs, resolve));
      }
      await following;
      await this.#finish(run);
    } catch (error) {
      log.warn({ response: id, reason: describeError(error) }, "an answer in the background could not be kept");
    } finally {
      this.#runs.delete(id);
      this.#tellChange(id);
    }
  }

  /** An answer that was given up, or deleted, stays so. */
  async #finish(run: BackgroundRun): Promise<void> {
    const { runs, responses } = this.#parts;
    const { tenant, id, stored } = run;
    // A run that another process has taken up is failed by that one.
    const held = await this.#untilDone(run, () => runs.renew(this.#lease()));
    if (!held.has(id) || run.stopped === "lost") return;
    const isKept = await this.#untilDone(run, () => responses.replace(tenant, stored));
    if (!isKept) {
      const failed = { ...stored, response: asFailed({ ...stored.response, output: [] }, tooLarge) };
      await this.#untilDone(run, () => responses.replace(tenant, failed));
    }
    await this.#untilDone(run, () => runs.end(tenant, id));
  }

  /** Again and again while the database is away, as long as it is of use. */
  async #untilDone<T>(run: BackgroundRun, work: () => Promise<T>): Promise<T> {
    const { clock } = this.#parts;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const isAway = error instanceof NexusError && error.code === "database_unavailable";
        if (!isAway || this.#isGivenUp || run.stopped === "lost") throw error;
        await new Promise<void>((resolve) => void clock.after(retryMs, resolve));
      }
    }
  }

  /** Resolves when an answer of this process has said more, and else after a while. */
  async #change(id: string): Promise<void> {
    const change = this.#changes.get(id) ?? Promise.withResolvers<void>();
    if (this.#runs.has(id)) this.#changes.set(id, change);
    await this.#within(lookMs, change.promise);
  }

  /** What it resolves to, or undefined when that takes too long. */
  async #within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const cancel = this.#parts.clock.after(ms, () => resolve(undefined));
    try {
      return await Promise.race([promise, late]);
    } finally {
      cancel();
    }
  }

  #tellChange(id: string): void {
    this.#changes.get(id)?.resolve();
    this.#changes.delete(id);
  }
}

const tooLarge = "The answer is larger than what is kept of one.";

const lastTypes: ReadonlySet<unknown> = new Set([
  "response.completed",
  "response.incomplete",
  "response.failed",
  "response.cancelled",
]);

function isLast({ type }: RunEvent): boolean {
  return lastTypes.has(type);
}
