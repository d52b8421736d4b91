import { type ChildProcess, fork } from "node:child_process";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { type Link, openLink } from "./link.ts";
import type { ToPrimary, ToWorker } from "./messages.ts";

/** A worker process. */
export interface Worker {
  readonly index: number;
  readonly pid: number;
  readonly link: Link<ToWorker, ToPrimary>;
  /** It has said that it serves. */
  readonly isReady: boolean;
}

export interface WorkerPoolOptions {
  readonly count: number;
  /** The file that a worker runs, and its arguments. */
  readonly entry: string;
  readonly argv: readonly string[];
  /** All of the environment. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Of the bound socket; workers find it as `listenDescriptor`. */
  readonly socketDescriptor: number;
  /** A process runs: give it what it needs to start. */
  readonly onStart: (worker: Worker) => void;
  readonly onMessage: (worker: Worker, message: ToPrimary) => void;
  /** Everything that it has said has been heard, and it has gone. */
  readonly onGone: (worker: Worker) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Where a worker finds the socket that it listens on: after stdin, stdout, stderr and the channel. */
export const listenDescriptor = 4;

/** A worker that ran for so long was well: its successor starts at once. */
const wellMs = 10_000;
const backoffMsMin = 100;
const backoffMsMax = 5_000;
const pingMs = 2_000;
/** Longer than any pause that a loaded process makes; the same time after which a hung gateway is replaced. */
const hungMs = 15_000;

interface Place {
  readonly index: number;
  member: Member | undefined;
  failures: number;
  cancelStart: () => void;
}

interface Member extends Worker {
  isReady: boolean;
  readonly child: ChildProcess;
  readonly startedAt: number;
  heardAt: number;
}

/**
 * Keeps so many workers running: one that ends is replaced, at once or, when it keeps ending, after a pause that
 * doubles; one that hangs is killed first. Workers lead sessions of their own: a signal to the primary's group, such
 * as a terminal's, is the primary's to pass on, and its death is no signal to them.
 */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #places: readonly Place[];
  readonly #firstReady = Promise.withResolvers<void>();
  #isStopping = false;
  #cancelPing = () => {};
  #hasServed = false;
  #whenEmpty: (() => void) | undefined;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#places = Array.from({ length: options.count }, (_, index) => ({
      index,
      member: undefined,
      failures: 0,
      cancelStart: () => {},
    }));
    this.#firstReady.promise.catch(() => {});
  }

  /** Those whose processes run, whether they serve yet or not. */
  get workers(): readonly Worker[] {
    return this.#places.flatMap(({ member }) => member ?? []);
  }

  /** Resolves once one of them serves; rejects when one ends before any did. */
  start(): Promise<void> {
    for (const place of this.#places) this.#start(place);
    this.#pingLater();
    return this.#firstReady.promise;
  }

  /** Has all of them drain, and resolves when they have gone; those that have not by then are killed. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    this.#cancelPing();
    for (const { cancelStart } of this.#places) cancelStart();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#whenEmpty = resolve;
    for (const { link } of this.workers) link.send({ topic: "drain" });
    const cancel = this.#options.clock.after(graceMs, () => this.kill());
    if (this.workers.length > 0) await promise;
    cancel();
  }

  kill(): void {
    for (const { member } of this.#places) member?.child.kill("SIGKILL");
  }

  #start(place: Place): void {
    const { entry, argv, environment, socketDescriptor, clock, log, onStart } = this.#options;
    const child = fork(entry, argv, {
      env: environment as NodeJS.ProcessEnv,
      detached: true,
      stdio: ["ignore", "inherit", "inherit", "ipc", socketDescriptor],
    });
    const { pid } = child;
    if (pid === undefined) {
      child.once("error", (error) => log.error({ error, worker: place.index }, "a worker cannot be started"));
      this.#startLater(place);
      return;
    }
    const now = clock.monotonic();
    const link = openLink<ToWorker, ToPrimary>(child);
    const member: Member = { index: place.index, pid, child, link, isReady: false, startedAt: now, heardAt: now };
    place.member = member;
    link.onMessage((message) => this.#receive(place, member, message));
    // Not "exit": by then not all that it said need have been read.
    child.once("close", (code, signal) => this.#onGone(place, member, { code, signal }));
    child.on("error", (error) => log.warn({ error, worker: place.index }, "a worker's channel failed"));
    onStart(member);
  }

  #receive(place: Place, member: Member, message: ToPrimary): void {
    member.heardAt = this.#options.clock.monotonic();
    if (message.topic === "ready") {
      member.isReady = true;
      this.#hasServed = true;
      this.#options.log.info({ worker: place.index, pid: member.pid }, "worker serves");
      this.#firstReady.resolve();
    }
    this.#options.onMessage(member, message);
  }

  #onGone(place: Place, member: Member, how: { code: number | null; signal: string | null }): void {
    const { clock, log, onGone } = this.#options;
    place.member = undefined;
    onGone(member);
    if (this.#isStopping) {
      if (this.workers.length === 0) this.#whenEmpty?.();
      return;
    }
    log.error({ worker: place.index, pid: member.pid, ...how }, "a worker has ended and is replaced");
    if (!this.#hasServed) this.#firstReady.reject(new Error("a worker ended before it served"));
    const wasWell = member.isReady && clock.monotonic() - member.startedAt > wellMs;
    place.failures = wasWell ? 0 : place.failures + 1;
    this.#startLater(place);
  }

  #startLater(place: Place): void {
    const delayMs = place.failures <= 1 ? 0 : Math.min(backoffMsMax, backoffMsMin * 2 ** (place.failures - 2));
    place.cancelStart = this.#options.clock.after(delayMs, () => this.#start(place));
  }

  #pingLater(): void {
    this.#cancelPing = this.#options.clock.after(pingMs, () => {
      const hungSince = this.#options.clock.monotonic() - hungMs;
      for (const { member } of this.#places) {
        if (member === undefined) continue;
        member.link.send({ topic: "ping" });
        if (member.heardAt > hungSince) continue;
        this.#options.log.error({ worker: member.index, pid: member.pid }, "a worker hangs and is killed");
        member.child.kill("SIGKILL");
      }
      this.#pingLater();
    });
  }
}
