import type { MetricSample, Over } from "./metric-sample.ts";

/** Values of labels by name; a missing one counts as empty. */
export type LabelValues<L extends string> = Readonly<Partial<Record<L, string | number>>>;

/** A number that only grows, one for each set of labels. */
export interface Counter<L extends string = never> {
  inc(value?: number): void;
  inc(labels: LabelValues<L>, value?: number): void;
  /** Back to nothing: for counters that are brought up to date when they are read. */
  reset(): void;
}

/** A number that goes up and down, one for each set of labels. */
export interface Gauge<L extends string = never> extends Counter<L> {
  dec(value?: number): void;
  dec(labels: LabelValues<L>, value?: number): void;
  set(value: number): void;
  set(labels: LabelValues<L>, value: number): void;
}

/** How often values fell into each bucket, for each set of labels. */
export interface Histogram<L extends string = never> {
  observe(value: number): void;
  observe(labels: LabelValues<L>, value: number): void;
}

export interface FamilyDefinition {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly over: Over;
}

/** Sets of labels beyond this are not kept: a label that takes any value must not take all memory. */
const seriesMax = 10_000;

/** Series by their label values. Finding one costs one look-up and no copy of the labels. */
class SeriesByLabels<S> {
  readonly #names: readonly string[];
  readonly #make: () => S;
  readonly #byKey = new Map<string, { readonly labels: string; readonly series: S }>();

  constructor(names: readonly string[], make: () => S) {
    this.#names = names;
    this.#make = make;
    this.clear();
  }

  clear(): void {
    this.#byKey.clear();
    // What has no labels is there from the start, at zero.
    if (this.#names.length === 0) this.of({});
  }

  of(values: Readonly<Record<string, string | number | undefined>>): S {
    let key = "";
    for (const name of this.#names) key += `${values[name] ?? ""}\u0000`;
    const known = this.#byKey.get(key);
    if (known !== undefined) return known.series;
    const series = this.#make();
    const labels = this.#names.map((name) => `${name}="${escapeLabel(String(values[name] ?? ""))}"`).join(",");
    if (this.#byKey.size < seriesMax) this.#byKey.set(key, { labels, series });
    return series;
  }

  *all(): Iterable<readonly [labels: string, series: S]> {
    for (const { labels, series } of this.#byKey.values()) yield [labels, series];
  }
}

/** One metric with all its series. */
export interface Family {
  sample(): MetricSample;
}

/** A counter or a gauge. */
export class ValueFamily<L extends string> implements Gauge<L>, Family {
  readonly #definition: FamilyDefinition & { readonly type: "counter" | "gauge" };
  readonly #series: SeriesByLabels<{ value: number }>;

  constructor(definition: FamilyDefinition & { readonly type: "counter" | "gauge" }) {
    this.#definition = definition;
    this.#series = new SeriesByLabels(definition.labels, () => ({ value: 0 }));
  }

  inc(labels: LabelValues<L> | number = 1, value = 1): void {
    if (typeof labels === "number") this.#series.of({}).value += labels;
    else this.#series.of(labels).value += value;
  }

  dec(labels: LabelValues<L> | number = 1, value = 1): void {
    if (typeof labels === "number") this.inc(-labels);
    else this.inc(labels, -value);
  }

  set(labels: LabelValues<L> | number, value = 0): void {
    if (typeof labels === "number") this.#series.of({}).value = labels;
    else this.#series.of(labels).value = value;
  }

  reset(): void {
    this.#series.clear();
  }

  sample(): MetricSample {
    const { name, help, type, over } = this.#definition;
    const series = [...this.#series.all()].map(([labels, { value }]) => [labels, [value]] as const);
    return { name, help, type, over, buckets: [], series };
  }
}

/** Counts and sums in one typed array: adding a value allocates nothing. */
export class HistogramFamily<L extends string> implements Histogram<L>, Family {
  readonly #definition: FamilyDefinition;
  readonly #buckets: readonly number[];
  /** A count for each bucket, one for what is above them all, then the sum. */
  readonly #series: SeriesByLabels<Float64Array>;

  constructor(definition: FamilyDefinition, buckets: readonly number[]) {
    this.#definition = definition;
    this.#buckets = buckets;
    this.#series = new SeriesByLabels(definition.labels, () => new Float64Array(buckets.length + 2));
  }

  observe(labels: LabelValues<L> | number, value = 0): void {
    if (typeof labels === "number") this.#add(this.#series.of({}), labels);
    else this.#add(this.#series.of(labels), value);
  }

  sample(): MetricSample {
    const { name, help } = this.#definition;
    const series = [...this.#series.all()].map(([labels, counts]) => [labels, [...counts]] as const);
    return { name, help, type: "histogram", over: "sum", buckets: this.#buckets, series };
  }

  #add(counts: Float64Array, value: number): void {
    let index = 0;
    while (index < this.#buckets.length && value > (this.#buckets[index] ?? 0)) index++;
    counts[index] = (counts[index] ?? 0) + 1;
    const sum = this.#buckets.length + 1;
    counts[sum] = (counts[sum] ?? 0) + value;
  }
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
