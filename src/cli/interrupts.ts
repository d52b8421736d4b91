import type { EventEmitter } from "node:events";

/** Ctrl-C and SIGTERM, as verbs meet them. */
export interface Interrupts {
  /** Aborted when nobody took the interrupt: the verb ends with status 130. */
  readonly signal: AbortSignal;
  /** Takes interrupts over until the returned function is called; the newest taker gets them. */
  take(handler: () => void): () => void;
  /** Whether a verb has taken them over for now. */
  isTaken(): boolean;
}

/**
 * Listens to SIGINT, SIGTERM and SIGHUP. An interrupt that nobody has taken aborts `signal`; one more and `giveUp` is
 * called, for a verb that hangs must still end.
 */
export function listenToInterrupts(process: EventEmitter, giveUp: () => void): Interrupts {
  const controller = new AbortController();
  const takers: (() => void)[] = [];
  const interrupt = () => {
    const taker = takers.at(-1);
    if (taker !== undefined) taker();
    else if (controller.signal.aborted) giveUp();
    else controller.abort();
  };
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, interrupt);
  return {
    signal: controller.signal,
    isTaken: () => takers.length > 0,
    take(handler) {
      takers.push(handler);
      return () => {
        const at = takers.lastIndexOf(handler);
        if (at !== -1) takers.splice(at, 1);
      };
    },
  };
}
