/** Lets tests wait for a state of something whose every change is an event. */
export class Watch {
  readonly #waiting = new Set<{ look(): void; giveUp(when: string): void }>();
  readonly #describe: () => string;

  /** `describe` says for errors what there is instead. */
  constructor(describe: () => string) {
    this.#describe = describe;
  }

  /** Resolves when `isSo`, looked at now and after every event. Rejects after `timeoutMs`, or at the end. */
  until(isSo: () => boolean, timeoutMs: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting = {
      look: () => {
        if (isSo()) resolve();
      },
      giveUp: (when: string) => reject(new Error(`it did not come to that ${when}: ${this.#describe()}`)),
    };
    const cancel = afterOwnTime(timeoutMs, () => waiting.giveUp(`within ${timeoutMs} ms`));
    this.#waiting.add(waiting);
    waiting.look();
    const settled = promise.finally(() => {
      cancel();
      this.#waiting.delete(waiting);
    });
    // Of several that race, nobody waits for those that lose.
    settled.catch(() => {});
    return settled;
  }

  /** Call after every event. */
  look(): void {
    for (const { look } of [...this.#waiting]) look();
  }

  /** Nothing will change any more. */
  end(): void {
    for (const { giveUp } of [...this.#waiting]) giveUp("before it was closed");
  }
}

const stepMs = 20;

/**
 * Runs `run` after so many milliseconds of this process's own time: while others have the processor, and it hears of
 * nothing, at most one step of it passes. Returns what cancels it.
 */
function afterOwnTime(delayMs: number, run: () => void): () => void {
  let leftMs = delayMs;
  const timer = setInterval(() => {
    leftMs -= stepMs;
    if (leftMs > 0) return;
    clearInterval(timer);
    run();
  }, stepMs);
  return () => clearInterval(timer);
}
