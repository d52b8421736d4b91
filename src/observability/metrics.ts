import { monitorEventLoopDelay } from "node:perf_hooks";
import {
  type Counter,
  type Family,
  type FamilyDefinition,
  type Gauge,
  type Histogram,
  HistogramFamily,
  ValueFamily,
} from "./metric-family.ts";
import { type MetricSample, type Over, renderSamples } from "./metric-sample.ts";

/**
 * Every label that a metric may carry. Closed, because each value of a label is a time series kept for ever: ids of
 * requests, keys and clients never become labels, and `model` only takes names that a service has published.
 */
export const metricLabels = [
  "operation",
  "service",
  "instance",
  "model",
  "status",
  "code",
  "outcome",
  "reason",
  "state",
  "kind",
  "version",
] as const;
export type MetricLabel = (typeof metricLabels)[number];

export interface MetricDefinition<L extends MetricLabel = MetricLabel> {
  /** `nexus_..._<unit>`, with `_total` at the end of counters. */
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly L[];
  /** Of a gauge: what several processes say together. Default `sum`. */
  readonly over?: Over;
}

/** The metrics of one process. */
export interface Metrics {
  /** With `collect`, the counter is brought up to date when it is read. */
  counter<L extends MetricLabel = never>(
    definition: MetricDefinition<L> & { readonly collect?: (counter: Counter<L>) => void },
  ): Counter<L>;
  /** With `collect`, the gauge is set when it is read. */
  gauge<L extends MetricLabel = never>(
    definition: MetricDefinition<L> & { readonly collect?: (gauge: Gauge<L>) => void },
  ): Gauge<L>;
  /** `buckets` are upper bounds in the metric's unit, ascending. */
  histogram<L extends MetricLabel = never>(
    definition: MetricDefinition<L> & { readonly buckets: readonly number[] },
  ): Histogram<L>;
  /** `Content-Type` of `text()`. */
  readonly contentType: string;
  /** Everything in Prometheus's text format. */
  text(): Promise<string>;
  /** Everything as of now. */
  samples(): readonly MetricSample[];
  /** Stops measuring the event loop. Idempotent. */
  close(): void;
}

/**
 * Seconds, for durations of requests: from a cached answer to a long generation. Wide steps, because each bucket of
 * each label set is a time series.
 */
export const durationBuckets = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600] as const;

/** Prometheus's text exposition format, https://prometheus.io/docs/instrumenting/exposition_formats/. */
const contentType = "text/plain; version=0.0.4; charset=utf-8";

/** Metrics of their own, with the process's among them: memory, CPU time, start, event-loop lag. */
export function createMetrics(): Metrics {
  const families = new Map<string, Family>();
  const collectors: (() => void)[] = [];
  const add = <F extends Family>(name: string, family: F): F => {
    if (families.has(name)) throw new RangeError(`there are two metrics ${name}`);
    families.set(name, family);
    return family;
  };
  const value = <L extends MetricLabel>(
    type: "counter" | "gauge",
    definition: MetricDefinition<L> & { readonly collect?: (metric: Gauge<L>) => void },
  ): Gauge<L> => {
    const { collect } = definition;
    const family = add(definition.name, new ValueFamily<L>({ ...toFamily(definition), type }));
    if (collect !== undefined) collectors.push(() => collect(family));
    return family;
  };
  const samples = () => {
    for (const collect of collectors) collect();
    return [...families.values()].map((family) => family.sample());
  };
  const metrics: Metrics = {
    counter: (definition) => value("counter", definition),
    gauge: (definition) => value("gauge", definition),
    histogram: (definition) => add(definition.name, new HistogramFamily(toFamily(definition), [...definition.buckets])),
    contentType,
    text: async () => renderSamples(samples()),
    samples,
    close: () => {},
  };
  return { ...metrics, close: addProcessMetrics(metrics) };
}

function toFamily({ name, help, labels = [], over = "sum" }: MetricDefinition): FamilyDefinition {
  return { name, help, labels, over };
}

/** Milliseconds between two looks at the event loop: 50 a second, which costs nothing that can be measured. */
const loopResolutionMs = 20;

/** Names are those of Prometheus's own client libraries. Returns what stops the measuring. */
function addProcessMetrics(metrics: Metrics): () => void {
  metrics.gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory of the process in bytes.",
    collect: (gauge) => gauge.set(process.memoryUsage.rss()),
  });
  metrics.counter({
    name: "process_cpu_seconds_total",
    help: "CPU time of the process in seconds, user and system.",
    collect: (counter) => {
      const { user, system } = process.cpuUsage();
      counter.reset();
      counter.inc((user + system) / 1e6);
    },
  });
  metrics
    .gauge({
      name: "process_start_time_seconds",
      help: "Start of the process in seconds since the epoch.",
      over: "min",
    })
    .set(Math.round(Date.now() / 1000 - process.uptime()));
  const loop = monitorEventLoopDelay({ resolution: loopResolutionMs });
  loop.enable();
  metrics.gauge({
    name: "nodejs_eventloop_lag_p99_seconds",
    help: "99th percentile of the event loop's lag since the last reading, in seconds.",
    over: "max",
    collect: (gauge) => {
      // The histogram holds whole intervals; the lag is what each took beyond its resolution.
      const p99 = loop.count === 0 ? 0 : loop.percentile(99) / 1e9 - loopResolutionMs / 1e3;
      gauge.set(Math.max(0, p99));
      loop.reset();
    },
  });
  return () => void loop.disable();
}
