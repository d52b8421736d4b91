import { describeError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { RegistrySnapshot } from "./registry.ts";

type Listener = (snapshot: RegistrySnapshot) => void;

/** Tells listeners about changes: once a turn of the event loop however many there were, and never synchronously. */
export class ChangeFeed {
  readonly #current: () => RegistrySnapshot;
  readonly #log: Logger;
  /** One entry a subscription, so that a function given twice is called twice. */
  readonly #listeners = new Set<{ readonly listener: Listener }>();
  #announced: NodeJS.Immediate | undefined;

  /** `current` is asked when it is time to tell, so listeners only ever see the newest. */
  constructor(current: () => RegistrySnapshot, log: Logger) {
    this.#current = current;
    this.#log = log;
  }

  onChange(listener: Listener): () => void {
    const entry = { listener };
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  /** Something has changed. */
  announce(): void {
    if (this.#listeners.size === 0) return;
    this.#announced ??= setImmediate(() => this.#tell());
  }

  /** Nothing is told any more. */
  close(): void {
    clearImmediate(this.#announced);
    this.#listeners.clear();
  }

  #tell(): void {
    this.#announced = undefined;
    const snapshot = this.#current();
    for (const entry of [...this.#listeners]) {
      // One that was called before may have unsubscribed it.
      if (!this.#listeners.has(entry)) continue;
      try {
        entry.listener(snapshot);
      } catch (error) {
        this.#log.error({ reason: describeError(error) }, "a listener of the registry failed");
      }
    }
  }
}
