import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { KeyCache } from "../keys/key-cache.ts";
import type { Meter } from "../keys/meter.ts";
import type { Objects } from "../objects/open-objects.ts";
import type { RunEvent } from "../objects/run-store.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { RecordStore } from "../records/record-store.ts";
import type { Admission } from "../resilience/admission.ts";
import type { ColdStarts } from "../resilience/cold-starts.ts";
import type { InstanceConditions } from "../resilience/instance-conditions.ts";
import type { RetryBudget } from "../resilience/retry-budget.ts";
import type { CompiledRoutes } from "../routing/compile-routes.ts";
import type { ModelIndex } from "../routing/model-index.ts";
import type { Candidate } from "../routing/route-plan.ts";
import type { JsonObject } from "../translate/request-fields.ts";
import type { BackgroundAsking } from "./background-run.ts";
import type { CollectedAnswer } from "./collected-reply.ts";
import type { Aliases, AuthConfig, GatewayConfig } from "./config.ts";
import type { GatewayMetrics } from "./gateway-metrics.ts";
import type { StoredResponses } from "./stored-responses.ts";
import type { UpstreamRequest, Upstreams } from "./upstream.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** Who this gateway is, for its own metadata. */
export interface GatewayIdentity {
  readonly version: string;
  readonly instance: string;
  readonly host: string;
  readonly startedAt: string;
}

/** Works on batches. */
export interface Batches {
  /** Of one tenant, not finished. */
  readonly openMax: number;
  /** There is something to do. */
  wake(): void;
  /** Stops one that this process works on, at once. */
  cancel(id: string): void;
}

/** Makes answers without their clients. */
export interface Background {
  /**
   * Begins an answer. Resolves with it as it stands once it is kept, or with what was wrong with the request.
   * @throws NexusError `rate_limit_exceeded`, `request_too_large`, `draining` or `database_unavailable`.
   */
  start(asking: BackgroundAsking): Promise<{ readonly response: JsonObject } | CollectedAnswer>;
  /** Stops an answer that is being made, in whichever process. Resolves when it has ended, or after a while. */
  cancel(tenant: string, id: string): Promise<void>;
  /** What an answer has said after an event, and says until its end, in whichever process. -1 for all. */
  events(tenant: string, id: string, after: number): AsyncIterable<RunEvent>;
}

/** What the stages of a request share. Made once, in `createGateway`. */
export interface GatewayParts {
  readonly settings: GatewayConfig;
  readonly auth: AuthConfig;
  readonly aliases: Aliases;
  readonly routes: CompiledRoutes;
  readonly identity: GatewayIdentity;
  /** The fleet by model, as of now. */
  readonly index: () => ModelIndex;
  /** Whether a model that nobody offers now was offered a short while ago. */
  readonly wasOffered: (model: string) => boolean;
  readonly conditions: InstanceConditions;
  readonly admission: Admission<Candidate>;
  readonly coldStarts: ColdStarts;
  readonly upstreams: Upstreams;
  readonly keys: KeyCache;
  readonly meter: Meter;
  readonly retryBudget: RetryBudget;
  readonly metrics: GatewayMetrics;
  readonly records: RecordStore;
  readonly responses: StoredResponses;
  readonly objects: Objects;
  readonly batches: Batches;
  readonly background: Background;
  readonly processMetrics: Metrics;
  readonly log: Logger;
  readonly clock: Clock;
  /** Whether a first view of the fleet is there, and whether the gateway is about to stop. */
  readonly state: () => { readonly hasView: boolean; readonly draining: boolean };
  /** A number that grows with every call. */
  readonly nextTurn: () => number;
  /** Probes an instance now: a request has just failed there. */
  readonly hurryProbe: (key: string) => void;
  /** Sends a request to the control process; undefined where there is none. */
  readonly control: ((request: UpstreamRequest) => Promise<UpstreamAnswer>) | undefined;
}
