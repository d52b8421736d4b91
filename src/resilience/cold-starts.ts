import type { Clock } from "../base/clock.ts";

/** How long a model's first byte takes on one host, in milliseconds. */
export interface ColdStart {
  readonly model: string;
  readonly host: string;
  /** When the model had to be loaded; undefined until that was seen. */
  readonly coldMs: number | undefined;
  /** When it was in memory; undefined until that was seen. */
  readonly warmMs: number | undefined;
}

/** One answer that began. */
export interface FirstByte {
  readonly model: string;
  readonly host: string;
  /** What the instance's record said of the model when the request was sent. */
  readonly wasLoaded: boolean;
  readonly firstByteMs: number;
}

/** Loads are rare and alike: the last few count. First bytes are many and differ with the prompt. */
const coldWeight = 0.3;
const warmWeight = 0.05;
/** Records follow a load with a delay: a model that has just answered is loaded, whatever its record says. */
const staysLoadedMs = 60_000;
/** Pairs of model and host that are remembered; the oldest is forgotten beyond. */
const pairsMax = 10_000;

interface Learned {
  readonly model: string;
  readonly host: string;
  coldMs: number | undefined;
  warmMs: number | undefined;
  answeredAt: number;
}

/** Learns what loading a model costs on each host from the first bytes of real answers. */
export class ColdStarts {
  readonly #clock: Clock;
  readonly #pairs = new Map<string, Learned>();
  readonly #onLoad: () => void;

  /** `known`: what an earlier process had learned, from its `list`. `onLoad` is called after each load that was seen. */
  constructor(clock: Clock, known: Iterable<ColdStart> = [], onLoad = (): void => {}) {
    this.#clock = clock;
    this.#onLoad = onLoad;
    for (const { model, host, coldMs, warmMs } of known) Object.assign(this.#pairOf(model, host), { coldMs, warmMs });
  }

  /** Call for every answer that began, once. */
  note({ model, host, wasLoaded, firstByteMs }: FirstByte): void {
    const pair = this.#pairOf(model, host);
    const now = this.#clock.monotonic();
    const isLoad = !wasLoaded && now - pair.answeredAt >= staysLoadedMs;
    pair.answeredAt = now;
    if (isLoad) {
      pair.coldMs = mean(pair.coldMs, firstByteMs, coldWeight);
      this.#onLoad();
    } else pair.warmMs = mean(pair.warmMs, firstByteMs, warmWeight);
  }

  /** Milliseconds that loading adds to the first byte, or undefined while no load has been seen there. */
  coldStartMs(model: string, host: string): number | undefined {
    const pair = this.#pairs.get(keyOf(model, host));
    return pair?.coldMs === undefined ? undefined : Math.max(0, pair.coldMs - (pair.warmMs ?? 0));
  }

  /** What was learned, to be kept for the next process. */
  list(): readonly ColdStart[] {
    return [...this.#pairs.values()].map(({ model, host, coldMs, warmMs }) => ({ model, host, coldMs, warmMs }));
  }

  #pairOf(model: string, host: string): Learned {
    const key = keyOf(model, host);
    let pair = this.#pairs.get(key);
    if (pair === undefined) {
      pair = { model, host, coldMs: undefined, warmMs: undefined, answeredAt: Number.NEGATIVE_INFINITY };
      this.#pairs.set(key, pair);
      const [oldest] = this.#pairs.keys();
      if (this.#pairs.size > pairsMax && oldest !== undefined) this.#pairs.delete(oldest);
    }
    return pair;
  }
}

function keyOf(model: string, host: string): string {
  return `${host}\n${model}`;
}

function mean(before: number | undefined, newest: number, weight: number): number {
  return before === undefined ? newest : before + weight * (newest - before);
}
