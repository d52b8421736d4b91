import type { EventEmitter } from "node:events";
import { closeSync, constants, openSync } from "node:fs";

/** Ctrl-C and SIGTERM, as verbs meet them. */
export interface Interrupts {
  /** Aborted when nobody took the interrupt: the verb ends with status 130. */
  readonly signal: AbortSignal;
  /** Takes interrupts over until the returned function is called; the newest taker gets them. */
  take(handler: () => void): () => void;
  /**
   * Calls `handler` for a SIGHUP that somebody sent; that of a terminal that was closed stays an interrupt. Until the
   * returned function is called.
   */
  onHangup(handler: () => void): () => void;
  /** Whether a verb has taken them over for now. */
  isTaken(): boolean;
}

/**
 * Listens to SIGINT, SIGTERM and SIGHUP. An interrupt that nobody has taken aborts `signal`; one more and `giveUp` is
 * called, for a verb that hangs must still end.
 */
export function listenToInterrupts(
  process: EventEmitter,
  giveUp: () => void,
  hasTerminal: () => boolean = hasControllingTerminal,
): Interrupts {
  const controller = new AbortController();
  const takers: (() => void)[] = [];
  const hangupHandlers: (() => void)[] = [];
  const hadTerminal = hasTerminal();
  const interrupt = () => {
    const taker = takers.at(-1);
    if (taker !== undefined) taker();
    else if (controller.signal.aborted) giveUp();
    else controller.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  process.on("SIGHUP", () => {
    const handler = hangupHandlers.at(-1);
    if (handler === undefined || (hadTerminal && !hasTerminal())) interrupt();
    else handler();
  });
  return {
    signal: controller.signal,
    isTaken: () => takers.length > 0,
    take: (handler) => addTo(takers, handler),
    onHangup: (handler) => addTo(hangupHandlers, handler),
  };
}

/** Returns what takes it away again. */
function addTo(handlers: (() => void)[], handler: () => void): () => void {
  handlers.push(handler);
  return () => {
    const at = handlers.lastIndexOf(handler);
    if (at !== -1) handlers.splice(at, 1);
  };
}

/** A process has none when it was started as a daemon, and none any more once its terminal was closed. */
function hasControllingTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", constants.O_RDONLY | constants.O_NOCTTY));
    return true;
  } catch {
    return false;
  }
}
