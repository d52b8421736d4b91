import { durationBuckets, type Metrics } from "../observability/metrics.ts";
import type { Admission } from "./admission.ts";
import type { Exchange } from "./exchange.ts";
import type { ReadinessTracker } from "./readiness.ts";

/** Adds the kit's own metrics; the returned function counts one exchange that has ended. */
export function countRequests(
  metrics: Metrics,
  admission: Admission,
  readiness: ReadinessTracker,
): (exchange: Exchange, status: number) => void {
  const requests = metrics.counter({
    name: "nexus_service_requests_total",
    help: "Requests answered, by operation and HTTP status; 499 is a client that left.",
    labels: ["operation", "status"],
  });
  const durations = metrics.histogram({
    name: "nexus_service_request_duration_seconds",
    help: "Time from a request's head to the last byte of its answer, in seconds.",
    labels: ["operation"],
    buckets: durationBuckets,
  });
  metrics.gauge({
    name: "nexus_service_slots_active",
    help: "Requests that hold a slot.",
    collect: (gauge) => gauge.set(admission.active()),
  });
  metrics.gauge({
    name: "nexus_service_queue_depth",
    help: "Requests that wait for a slot.",
    collect: (gauge) => gauge.set(admission.queued()),
  });
  metrics.gauge({
    name: "nexus_service_ready",
    help: "1 while the service is ready, else 0.",
    collect: (gauge) => gauge.set(readiness.state() === "ready" ? 1 : 0),
  });
  return (exchange, status) => {
    const { operation } = exchange.notes;
    requests.inc({ operation, status: String(status) });
    durations.observe({ operation }, exchange.elapsedMs() / 1000);
  };
}
