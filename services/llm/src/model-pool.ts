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

export interface ModelPool<M> {
  /**
   * The model, loaded if it is not yet. When the pool is full, the idle model that was used longest ago makes room; while
   * all are in use, waits. Throws what opening throws, and the signal's reason; a load that others may wait for goes on.
   */
  acquire(id: string, signal: AbortSignal): Promise<Lease<M>>;
  state(id: string): "loaded" | "loading" | "available";
  /** Closes everything. Nothing can be acquired afterwards. */
  close(): Promise<void>;
}

export interface ModelPoolOptions<M> {
  readonly open: (id: string) => Promise<M>;
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
export function createModelPool<M extends Poolable>(options: ModelPoolOptions<M>): ModelPool<M> {
  const slots = new Map<string, Slot<M>>();
  const closing = new Set<Promise<void>>();
  let waiters: (() => void)[] = [];
  let uses = 0;
  let isClosed = false;

  const wake = (): void => {
    for (const waiter of waiters.splice(0)) waiter();
  };
  const changed = (): void => {
    wake();
    options.onChange();
  };
  const close = (slot: Slot<M>): Promise<void> => {
    slots.delete(slot.id);
    const done: Promise<void> = slot.opening
      .then((model) => model.dispose())
      .finally(() => {
        closing.delete(done);
        changed();
      });
    closing.add(done);
    return done;
  };
  const leastRecent = (): Slot<M> | undefined =>
    [...slots.values()].filter((slot) => slot.users === 0 && slot.isOpen).sort((a, b) => a.usedAt - b.usedAt)[0];

  /** Frees memory and tries once more when a model does not fit beside idle ones. */
  const openWithRoom = async (id: string): Promise<M> => {
    try {
      return await options.open(id);
    } catch (error) {
      const idle = error instanceof NexusError && error.code === "no_instance_available" ? leastRecent() : undefined;
      if (idle === undefined) throw error;
      await close(idle);
      return await options.open(id);
    }
  };
  const open = (id: string): void => {
    const slot: Slot<M> = { id, opening: openWithRoom(id), isOpen: false, users: 0, usedAt: ++uses };
    slots.set(id, slot);
    slot.opening.then(
      () => {
        slot.isOpen = true;
        changed();
      },
      () => {
        slots.delete(id);
        changed();
      },
    );
    options.onChange();
  };
  const use = async (slot: Slot<M>, signal: AbortSignal): Promise<Lease<M>> => {
    slot.users++;
    slot.usedAt = ++uses;
    let isHeld = true;
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      slot.users--;
      wake();
    };
    try {
      return { model: await unlessAborted(slot.opening, signal), release };
    } catch (error) {
      release();
      throw error;
    }
  };
  const nextChange = (): Promise<void> => new Promise((resolve) => void waiters.push(resolve));

  return {
    async acquire(id, signal) {
      for (;;) {
        signal.throwIfAborted();
        if (isClosed) throw new NexusError("draining", "This service is shutting down.");
        const slot = slots.get(id);
        if (slot !== undefined) return await use(slot, signal);
        const idle = leastRecent();
        if (slots.size + closing.size < options.loadedMax) open(id);
        else if (closing.size === 0 && idle !== undefined) await unlessAborted(close(idle), signal);
        else await unlessAborted(nextChange(), signal);
      }
    },
    state(id) {
      const slot = slots.get(id);
      if (slot === undefined) return "available";
      return slot.isOpen ? "loaded" : "loading";
    },
    async close() {
      isClosed = true;
      wake();
      await Promise.allSettled([...[...slots.values()].map(close), ...closing]);
      waiters = [];
    },
  };
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
