import type { ErrorCode } from "../base/errors.ts";
import type { Endpoint } from "../contract/metadata.ts";
import type { Operation } from "../contract/operations.ts";
import type { CompiledRoute, CompiledRoutes } from "./compile-routes.ts";
import type { HostFacts } from "./facts.ts";
import type { ModelIndex, Offer } from "./model-index.ts";

/** What a request asks of the fleet. */
export interface RouteRequest {
  readonly operation: Pick<Operation, "id" | "domains">;
  /**
   * Operations by which it can be served, the native one first, then those that it can be translated to. Default: the
   * operation itself.
   */
  readonly ways?: readonly string[] | undefined;
  /** As the client wrote it. */
  readonly model: string;
  /** Features that the model must have. */
  readonly needs: Readonly<Record<string, boolean>>;
  /** The size of the prompt, as far as it is certain. Instances whose context window is smaller are left out. */
  readonly contextTokens?: TokenBound | undefined;
  /** 32 bits that requests with the same beginning share: they go where that beginning is in the cache. */
  readonly prefixHash?: number | undefined;
  /** Whether the key may use a model of this name. Default: every model. */
  readonly isAllowed?: ((model: string) => boolean) | undefined;
  /** A number that differs from request to request: spreads equal candidates. */
  readonly turn: number;
}

/** A number of tokens that the prompt has at least. */
export interface TokenBound {
  readonly atLeast: number;
  /** How it is known, for the reason: `counted by its bytes`. */
  readonly source: string;
}

/** What the gateway itself has seen of an instance. */
export interface InstanceCondition {
  /** Undefined when it can take requests, else why not. */
  readonly unready: string | undefined;
  /** Undefined when its last requests went well, else why it is left out for a while. */
  readonly ejected: string | undefined;
  /** Undefined, or why it has asked to be left alone for a while: a 429 with `Retry-After`. */
  readonly limited?: string | undefined;
  /** Requests that this gateway has under way there. */
  readonly inFlight: number;
  /** Requests that may be under way there at once, as learned. Default: as its metadata says. */
  readonly limit?: number | undefined;
  /** Recent fast failures and refusals: 0 is none, 1 doubles what a request there is held to cost. Default 0. */
  readonly penalty?: number | undefined;
  /** True when all its slots are taken: a request for it would wait. Default false. */
  readonly full?: boolean | undefined;
}

/** Why a candidate stands where it stands. */
export interface CandidateScore {
  readonly tier: number;
  readonly weight: number;
  /** Features that the request needs and the instance may lack: it does not say. */
  readonly unknownFeatures: number;
  /** Whether the model is in memory, as its record says. */
  readonly state: Offer["model"]["state"];
  /** Milliseconds that loading the model takes: learned, else as its service says, else guessed. Undefined when loaded. */
  readonly coldStartMs: number | undefined;
  /** Milliseconds that a request would wait for a slot, as estimated. */
  readonly waitMs: number;
  readonly inFlight: number;
  readonly limit: number;
  readonly penalty: number;
  readonly full: boolean;
  /** (inFlight + 1) / limit x (1 + penalty) / weight: the least goes first. */
  readonly load: number;
  /** True when the request's beginning is expected in this one's cache. */
  readonly affinity: boolean;
}

export interface Candidate extends Offer {
  /** The operation that the instance is asked for: one of the request's ways. */
  readonly operationId: string;
  /** How the instance describes that operation: its path may be another than the contract's. */
  readonly endpoint: Endpoint;
  /**
   * Candidates of one group differ by their load alone. A later group is for when those before it have failed: a request
   * waits for a slot of the first one rather than take a slot of another.
   */
  readonly group: number;
  /** True when it is in the plan only because every other instance is left out for a while too. */
  readonly lastResort: boolean;
  readonly why: CandidateScore;
}

export type RejectionReason =
  | "operation"
  | "feature"
  | "context"
  | "key"
  | "route"
  | "residency"
  | "paid"
  | "drained"
  | "starting"
  | "unready"
  | "draining"
  | "failed"
  | "ejected"
  | "limited";

export interface Rejection {
  readonly key: string;
  readonly reason: RejectionReason;
  readonly text: string;
}

/** Where a request may go and why not elsewhere. A plan without candidates says which error that is. */
export interface RoutePlan {
  /** The model after the operator's aliases. */
  readonly model: string;
  /** The route in force; undefined where none names the model. */
  readonly route: CompiledRoute | undefined;
  /** In the order in which to try them; the first of them where there are very many. */
  readonly candidates: readonly Candidate[];
  /** Those that were looked at and left out. Made when asked for. */
  readonly rejected: readonly Rejection[];
  /** How many were neither taken nor looked at: `explainPlan` does. */
  readonly omitted: number;
  readonly failure: { readonly code: ErrorCode; readonly message: string } | undefined;
}

export interface RoutingContext {
  readonly index: ModelIndex;
  readonly aliases: Readonly<Record<string, string>>;
  /** The operator's rules. Default: none. */
  readonly routes?: CompiledRoutes | undefined;
  /** Hardware and place of hosts by name, as far as they are known. */
  readonly hosts?: ReadonlyMap<string, HostFacts> | undefined;
  readonly conditionOf: (key: string) => InstanceCondition;
  /** Milliseconds that loading a model took on a host, as learned. */
  readonly coldStartMsOf?: ((model: string, host: string) => number | undefined) | undefined;
  /** Milliseconds that a request would wait for a slot of an instance, as estimated. */
  readonly waitMsOf?: ((key: string) => number | undefined) | undefined;
  /** Whether a model that nobody offers now was offered a short while ago: its service is being restarted, say. */
  readonly wasOffered: (model: string) => boolean;
}
