/**
 * How values of one metric in several processes become one. Counters and histograms are always sums; of a gauge that
 * every process sees the same of, or that cannot be added, the largest or the smallest.
 */
export type Over = "sum" | "max" | "min";

/** One metric at one moment, fit to be sent to another process. */
export interface MetricSample {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly over: Over;
  /** Upper bounds of a histogram. */
  readonly buckets: readonly number[];
  /** Labels as they are written, and the value; of a histogram a count for each bucket, one for the rest, and the sum. */
  readonly series: readonly (readonly [labels: string, values: readonly number[]])[];
}

/** Prometheus's text format, https://prometheus.io/docs/instrumenting/exposition_formats/. */
export function renderSamples(samples: readonly MetricSample[]): string {
  return samples.map((sample) => `${linesOf(sample).join("\n")}\n`).join("\n");
}

/** The same metrics of several processes as those of one. */
export function mergeSamples(processes: readonly (readonly MetricSample[])[]): readonly MetricSample[] {
  const merged = new Map<string, { readonly sample: MetricSample; readonly series: Map<string, readonly number[]> }>();
  for (const sample of processes.flat()) {
    let into = merged.get(sample.name);
    if (into === undefined) {
      into = { sample, series: new Map() };
      merged.set(sample.name, into);
    }
    for (const [labels, values] of sample.series) {
      const known = into.series.get(labels);
      into.series.set(labels, known === undefined ? values : combine(known, values, into.sample.over));
    }
  }
  return [...merged.values()].map(({ sample, series }) => ({ ...sample, series: [...series] }));
}

/** What of a process stays true when it has gone: what it counted. */
export function countedBy(samples: readonly MetricSample[]): readonly MetricSample[] {
  return samples.filter(({ type }) => type !== "gauge");
}

function combine(a: readonly number[], b: readonly number[], over: Over): readonly number[] {
  return a.map((value, index) => {
    const other = b[index] ?? value;
    if (over === "sum") return value + other;
    return over === "max" ? Math.max(value, other) : Math.min(value, other);
  });
}

function linesOf({ name, help, type, buckets, series }: MetricSample): string[] {
  const lines = [`# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`, `# TYPE ${name} ${type}`];
  for (const [labels, values] of series) {
    if (type !== "histogram") {
      lines.push(line(name, labels, values[0] ?? 0));
      continue;
    }
    const rest = labels === "" ? "" : `,${labels}`;
    let total = 0;
    for (const [index, bound] of [...buckets, "+Inf"].entries()) {
      total += values[index] ?? 0;
      lines.push(line(`${name}_bucket`, `le="${bound}"${rest}`, total));
    }
    lines.push(line(`${name}_sum`, labels, values[buckets.length + 1] ?? 0));
    lines.push(line(`${name}_count`, labels, total));
  }
  return lines;
}

function line(name: string, labels: string, value: number): string {
  return labels === "" ? `${name} ${value}` : `${name}{${labels}} ${value}`;
}
