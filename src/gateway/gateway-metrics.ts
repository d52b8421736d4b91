import { durationBuckets, type Metrics } from "../observability/metrics.ts";
import type { Exchange } from "./exchange.ts";

/** What the gateway counts. */
export interface GatewayMetrics {
  /** One try of one instance; `outcome` is `ok` or the kind of its failure. */
  attempt(service: string, outcome: string): void;
  opened(): void;
  completed(exchange: Exchange, status: number, seconds: number): void;
  /** `unready` is undefined for an instance that became ready. */
  instanceChanged(key: string, unready: string | undefined): void;
}

/** What is looked at when somebody reads the metrics. */
export interface FleetState {
  /** Instances by what the probes say. */
  routable(): { readonly ready: number; readonly unready: number };
  /** Requests that wait for a slot. */
  waiting(): number;
}

export function createGatewayMetrics(metrics: Metrics, fleet: FleetState): GatewayMetrics {
  const { requests, duration, firstByte, inFlight, tokens } = requestMetrics(metrics);
  const { attempts, changes } = fleetMetrics(metrics, fleet);
  return {
    attempt: (service, outcome) => attempts.inc({ service, outcome }),
    opened: () => inFlight.inc(),
    completed({ operation, model, usage, firstByteAt, startedAt }, status, seconds) {
      inFlight.dec();
      requests.inc({ operation, status: String(status) });
      duration.observe({ operation }, seconds);
      if (firstByteAt !== undefined) firstByte.observe({ operation }, (firstByteAt - startedAt) / 1000);
      if (usage === undefined || model === undefined) return;
      tokens.inc({ model, kind: "prompt" }, usage.promptTokens);
      tokens.inc({ model, kind: "completion" }, usage.completionTokens);
    },
    instanceChanged: (instance, unready) =>
      changes.inc({ instance, state: unready === undefined ? "ready" : "unready" }),
  };
}

function requestMetrics(metrics: Metrics) {
  return {
    requests: metrics.counter({
      name: "nexus_gateway_requests_total",
      help: "Requests by operation and status; 499 is a client that left.",
      labels: ["operation", "status"],
    }),
    duration: metrics.histogram({
      name: "nexus_gateway_request_duration_seconds",
      help: "From the request's first byte to the answer's last.",
      labels: ["operation"],
      buckets: durationBuckets,
    }),
    firstByte: metrics.histogram({
      name: "nexus_gateway_first_byte_seconds",
      help: "From the request's first byte to the answer's first.",
      labels: ["operation"],
      buckets: durationBuckets,
    }),
    inFlight: metrics.gauge({ name: "nexus_gateway_requests_in_flight", help: "Requests under way." }),
    tokens: metrics.counter({
      name: "nexus_gateway_tokens_total",
      help: "Tokens as the services counted them; kind is prompt or completion.",
      labels: ["model", "kind"],
    }),
  };
}

function fleetMetrics(metrics: Metrics, { routable, waiting }: FleetState) {
  metrics.gauge({
    name: "nexus_gateway_instances",
    help: "Instances in the registry, by what the probes say.",
    over: "max",
    labels: ["state"],
    collect: (gauge) => {
      const { ready, unready } = routable();
      gauge.set({ state: "ready" }, ready);
      gauge.set({ state: "unready" }, unready);
    },
  });
  metrics.gauge({
    name: "nexus_gateway_requests_waiting",
    help: "Requests that wait for a free slot of their model.",
    collect: (gauge) => gauge.set({}, waiting()),
  });
  return {
    attempts: metrics.counter({
      name: "nexus_gateway_attempts_total",
      help: "Tries of instances by service and outcome.",
      labels: ["service", "outcome"],
    }),
    changes: metrics.counter({
      name: "nexus_gateway_instance_changes_total",
      help: "Instances that became ready or unready.",
      labels: ["instance", "state"],
    }),
  };
}
