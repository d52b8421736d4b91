import type { Clock } from "nexus/base";

/** What a runtime works in; it holds memory until it is disposed of. */
export interface Disposable {
  dispose(): Promise<void>;
}

/** A context of a runtime that is lent to one at a time. */
export interface RenewedContext<C> {
  /** The one in use now, for what needs no turn. */
  current(): C;
  /** Lends the context, in the order of the calls. `tokens` is how long the input is. */
  use<T>(tokens: number, work: (context: C) => Promise<T>): Promise<T>;
}

/**
 * From here on an input is long. llama.cpp keeps room for the scores of its whole vocabulary at each token of the longest
 * input that a context has read: 1 MB a token with a vocabulary of 250,000, and it uses none of it for vectors.
 */
const longTokensMin = 128;
/** Long inputs within this time find the room that the last one made; one that must make it takes twice as long to read. */
const idleMs = 30_000;

/** Replaces the context with a new one when long inputs have stopped coming, so that the memory they took is given back. */
export async function openRenewedContext<C extends Disposable>(
  open: () => Promise<C>,
  clock: Clock,
): Promise<RenewedContext<C>> {
  let context = await open();
  let turn: Promise<unknown> = Promise.resolve();
  let cancelRenewal: (() => void) | undefined;
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = turn.then(work);
    turn = result.catch(() => {});
    return result;
  };
  const renew = async (): Promise<void> => {
    const old = context;
    context = await open();
    await old.dispose();
  };
  const renewLater = (): void => {
    cancelRenewal?.();
    // One that cannot be opened, for want of memory, leaves the old one in use.
    cancelRenewal = clock.after(idleMs, () => void inTurn(renew).catch(() => {}));
  };
  return {
    current: () => context,
    async use(tokens, work) {
      try {
        return await inTurn(() => work(context));
      } finally {
        if (tokens >= longTokensMin) renewLater();
      }
    },
  };
}
