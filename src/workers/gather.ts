import type { Clock } from "../base/clock.ts";

/** How long others are waited for. Whoever takes longer is left out. */
const answerMs = 500;

interface Round<W> {
  readonly missing: Set<W>;
  readonly answers: Map<W, unknown>;
  readonly done: () => void;
}

/** Questions to several processes, answered together when all have answered, gone, or taken too long. */
export class Gather<W> {
  readonly #clock: Clock;
  readonly #rounds = new Map<number, Round<W>>();
  #lastId = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves to the answers of those that gave one in time. */
  async ask(
    whom: readonly W[],
    send: (to: W, id: number) => void,
    waitMs = answerMs,
  ): Promise<ReadonlyMap<W, unknown>> {
    const answers = new Map<W, unknown>();
    if (whom.length === 0) return answers;
    const id = ++this.#lastId;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#rounds.set(id, { missing: new Set(whom), answers, done: resolve });
    for (const to of whom) send(to, id);
    const cancel = this.#clock.after(waitMs, resolve);
    await promise;
    cancel();
    this.#rounds.delete(id);
    return answers;
  }

  answer(from: W, id: number, answer: unknown): void {
    const round = this.#rounds.get(id);
    if (round === undefined || !round.missing.delete(from)) return;
    round.answers.set(from, answer);
    if (round.missing.size === 0) round.done();
  }

  leave(whom: W): void {
    for (const { missing, done } of this.#rounds.values()) {
      missing.delete(whom);
      if (missing.size === 0) done();
    }
  }
}
