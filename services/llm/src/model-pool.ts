import { NexusError } from "nexus/base";

/** What the pool needs to know of a model in memory. */
export interface Poolable {
  dispose(): Promise<void>;
}

/** A model that cannot be closed until it is released. */
export interface Lease<M> {
  readonly model: M;
  /** Idempotent. */
  release(): void;
}

export interface ModelPoolOptions<M> {
  readonly open: (id: string) => Promise<M>;
  /** Models in memory at once. */
  readonly loadedMax: number;
  /** Called after every change of a state. */
  readonly onChange: () => void;
}

interface Slot<M> {
  readonly id: string;
  readonly opening: Promise<M>;
  isOpen: boolean;
  users: number;
  /** Grows with every use of the pool. */
  usedAt: number;
}

/** Keeps at most `loadedMax` models in memory and never closes one in use. */
export class ModelPool<M extends Poolable> {
  readonly #options: ModelPoolOptions<M>;
  readonly #slots = new Map<string, Slot<M>>();
  readonly #closing = new Set<Promise<void>>();
  #waiters: (() => void)[] = [];
  #uses = 0;
  #isClosed = false;

  constructor(options: ModelPoolOptions<M>) {
    this.#options = options;
  }

  /**
   * The model, loaded if it is not yet. When the pool is full, the idle model that was used longest ago makes room; while
   * all are in use, waits. Throws what opening throws, and the signal's reason; a load that others may wait for goes on.
   */
  async acquire(id: string, signal: AbortSignal): Promise<Lease<M>> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#isClosed) throw new NexusError("draining", "This service is shutting down.");
      const slot = this.#slots.get(id);
      if (slot !== undefined) return await this.#use(slot, signal);
      const idle = this.#leastRecent();
      if (this.#slots.size + this.#closing.size < this.#options.loadedMax) this.#open(id);
      else if (this.#closing.size === 0 && idle !== undefined) await unlessAborted(this.#close(idle), signal);
      else await unlessAborted(this.#nextChange(), signal);
    }
  }

  state(id: string): "loaded" | "loading" | "available" {
    const slot = this.#slots.get(id);
    if (slot === undefined) return "available";
    return slot.isOpen ? "loaded" : "loading";
  }

  /** Closes everything. Nothing can be acquired afterwards. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake();
    const open = [...this.#slots.values()].map((slot) => this.#close(slot));
    await Promise.allSettled([...open, ...this.#closing]);
  }

  async #use(slot: Slot<M>, signal: AbortSignal): Promise<Lease<M>> {
    slot.users++;
    slot.usedAt = ++this.#uses;
    let isHeld = true;
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      slot.users--;
      this.#wake();
    };
    try {
      return { model: await unlessAborted(slot.opening, signal), release };
    } catch (error) {
      release();
      throw error;
    }
  }

  #open(id: string): void {
    const slot: Slot<M> = { id, opening: this.#openWithRoom(id), isOpen: false, users: 0, usedAt: ++this.#uses };
    this.#slots.set(id, slot);
    slot.opening.then(
      () => {
        slot.isOpen = true;
        this.#changed();
      },
      () => {
        this.#slots.delete(id);
        this.#changed();
      },
    );
    this.#options.onChange();
  }

  /** Frees memory and tries once more when a model does not fit beside idle ones. */
  async #openWithRoom(id: string): Promise<M> {
    try {
      return await this.#options.open(id);
    } catch (error) {
      const isTooBig = error instanceof NexusError && error.code === "no_instance_available";
      const idle = isTooBig ? this.#leastRecent() : undefined;
      if (idle === undefined) throw error;
      await this.#close(idle);
      return await this.#options.open(id);
    }
  }

  #close(slot: Slot<M>): Promise<void> {
    this.#slots.delete(slot.id);
    const done: Promise<void> = slot.opening
      .then((model) => model.dispose())
      .finally(() => {
        this.#closing.delete(done);
        this.#changed();
      });
    this.#closing.add(done);
    return done;
  }

  #leastRecent(): Slot<M> | undefined {
    const idle = [...this.#slots.values()].filter((slot) => slot.users === 0 && slot.isOpen);
    return idle.sort((a, b) => a.usedAt - b.usedAt)[0];
  }

  #nextChange(): Promise<void> {
    return new Promise((resolve) => void this.#waiters.push(resolve));
  }

  #changed(): void {
    this.#wake();
    this.#options.onChange();
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }
}

/** Settles as `promise` does, or with the signal's reason if that comes first. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
