/** What a worker says of an instance's slots. */
export type SlotRequest =
  /** It needs one more than it has. `limit` is what the instance takes in all. */
  | { readonly kind: "want"; readonly key: string; readonly limit: number }
  /** It gives some back: those that came free, or with `isAnswer`, what it could spare when it was asked. */
  | { readonly kind: "give"; readonly key: string; readonly count: number; readonly isAnswer: boolean }
  /** How many are in use there, of those instances where that has changed. */
  | { readonly kind: "load"; readonly used: Readonly<Record<string, number>> };

/** What the primary says. */
export type SlotReply =
  /** `isWanted`: others wait for such slots, so what comes free is to be given back. */
  | { readonly kind: "grant"; readonly key: string; readonly count: number; readonly isWanted: boolean }
  /** There are none now; a grant follows when there are. */
  | { readonly kind: "none"; readonly key: string }
  /** Others wait: give back what is idle now, and from now on what comes free. Answered by a `give`. */
  | { readonly kind: "recall"; readonly key: string }
  /** Nobody else waits any more. */
  | { readonly kind: "calm"; readonly key: string }
  /** How many are in use in all other workers. */
  | { readonly kind: "load"; readonly used: Readonly<Record<string, number>> };
