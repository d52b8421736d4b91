import type { IncomingHttpHeaders } from "node:http";
import { z } from "zod";
import { NexusError } from "../base/errors.ts";
import type { TraceContext } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { ReadinessCheck } from "../contract/health.ts";
import {
  descriptorSchema,
  type Endpoint,
  endpointSchema,
  metadataSchema,
  type modelSchema,
  nameSchema,
} from "../contract/metadata.ts";
import { operations, type RoutedOperationId } from "../contract/operations.ts";
import { parseOrThrow } from "../contract/parse.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { FormFile } from "./read-form.ts";
import type { RealtimeHandler } from "./realtime.ts";
import type { ServiceResponse } from "./response.ts";

/** A model as its service states it; what has a default may be left out. */
export type ModelInput = z.input<typeof modelSchema>;
type MetadataInput = z.input<typeof metadataSchema>;

/** One request as a handler sees it: complete, parsed and admitted. */
export interface ServiceRequest {
  /** The JSON body, or a form's fields; empty for other content types and for requests without a body. */
  readonly body: Record<string, unknown>;
  /** The files of a form. */
  readonly files: readonly FormFile[];
  /** What stands for `{id}` in the path; empty when there is no such part. */
  readonly id: string;
  readonly query: URLSearchParams;
  /** The body's bytes as they came. */
  readonly raw: Buffer;
  /** `Content-Type` as it came, with its parameters; empty when there is none. */
  readonly contentType: string;
  readonly headers: IncomingHttpHeaders;
  /** Aborts when the client is gone or the time to drain is over. Whoever works long must obey it. */
  readonly signal: AbortSignal;
  readonly requestId: string;
  readonly trace: TraceContext;
  /** Puts the request's id on every line. Never log prompts or answers. */
  readonly log: Logger;
}

/**
 * Serves one operation. Throws `NexusError` to answer with an error of the table; anything else thrown is a defect: it
 * is logged and answered as `internal_error`.
 */
export type Handler = (request: ServiceRequest) => Promise<ServiceResponse> | ServiceResponse;

/** Operations that are requests with an answer: all but the WebSocket. */
export type HandledOperationId = Exclude<RoutedOperationId, "realtime.connect">;

/** What serves each operation of the contract: a conversation is held, everything else is answered. */
export type Handlers = Partial<Record<HandledOperationId, Handler>> & {
  readonly "realtime.connect"?: RealtimeHandler;
};

/** An endpoint that is no operation of the contract; its fields stand in the metadata as they are. */
export interface OwnEndpoint {
  readonly method: Endpoint["method"];
  readonly path: string;
  /** Must not be an operation of the contract; give those in `handlers`. */
  readonly operation_id: string;
  readonly summary?: string;
  readonly request_schema?: string | null;
  readonly response_schema?: string | null;
  readonly streaming?: boolean;
  /** Media types of the body that it reads. Default `application/json`. */
  readonly accepts?: readonly string[];
  /** Media types that it answers with. Default `application/json`, and `text/event-stream` when `streaming`. */
  readonly response_types?: readonly string[];
  readonly handler: Handler;
}

/** Bounds of one service; each has a default. */
export interface ServiceLimits {
  /** Bytes of one request body, default 64 MiB: a prompt with a few images in it. */
  readonly bodyBytesMax: number;
  /** Requests that wait for a slot, default 64. The next is refused with `queue_full`. */
  readonly queueMax: number;
  /** How long requests in flight may take to end once the service shuts down, default 30 s as Kubernetes grants. */
  readonly drainMs: number;
  /**
   * Pause after which a waiting event stream sends a comment, and between pings of a WebSocket; default 15 s, below the
   * 30 s of a stall timeout.
   */
  readonly heartbeatMs: number;
}

export const defaultServiceLimits: ServiceLimits = {
  bodyBytesMax: 64 * 1024 * 1024,
  queueMax: 64,
  drainMs: 30_000,
  heartbeatMs: 15_000,
};

/** The running service, as its author's code sees it. Stays valid until the process ends. */
export interface ServiceContext {
  readonly log: Logger;
  /** The service's own metrics go to its `/metrics`. */
  readonly metrics: Metrics;
  /** Aborts when the service shuts down: `start` should give up then. */
  readonly signal: AbortSignal;
  readonly service: string;
  readonly instance: string;
  /**
   * Sets one named check of `/readyz`. The service is ready once `start` has returned and every check is `ok`; a check
   * that fails later takes it out of routing, and back in when it is `ok` again.
   */
  check(name: string, check: ReadinessCheck): void;
  /** How far loading is, 0 to 1, and the seconds that it may still take; null when unknown. */
  progress(fraction: number, etaSeconds: number | null): void;
  /** Says that `models()` answers something new: the registry's record is written again. */
  changed(): void;
}

/** What an author writes; see `defineService`. Names are those of the metadata. */
export interface ServiceDefinition {
  readonly name: string;
  readonly version: string;
  readonly description?: string;
  /** What does the work, such as `llama.cpp`. */
  readonly backend: MetadataInput["backend"];
  readonly capabilities: MetadataInput["capabilities"] & {
    /** Handlers that run at once; further requests wait in a queue. */
    readonly max_concurrency: number;
  };
  readonly requires?: MetadataInput["requires"];
  readonly ui?: MetadataInput["ui"];
  /** Where a console puts its panel. Default: under its first domain, titled with its name. */
  readonly navigation?: Partial<z.input<typeof descriptorSchema>["ui_navigation"]>;
  /** Read at every look at the metadata. Call `context.changed()` when it answers something new. */
  readonly models: () => readonly ModelInput[];
  /**
   * By operation of the contract. The kit has checked that `body.model` names one of `models()` for it, where the
   * operation has a model. Questions about a job (`videos.retrieve`, ...) take no slot and never wait. A conversation
   * (`realtime.connect`) holds one slot from its handshake to its end.
   */
  readonly handlers: Handlers;
  readonly endpoints?: readonly OwnEndpoint[];
  /**
   * Loads what the service needs. The server listens already and says `starting`; may run long. When it throws, the
   * service stays up as `failed` with the error's message as the reason, for the operator to read.
   */
  readonly start?: (context: ServiceContext) => Promise<void> | void;
  /** Frees what `start` took, after the last request. */
  readonly stop?: () => Promise<void> | void;
  readonly limits?: Partial<ServiceLimits>;
}

declare const defined: unique symbol;
/** A definition that `defineService` has checked. */
export type Service = ServiceDefinition & { readonly [defined]: true };

/** The static half of a definition: what can be checked before anything runs. */
const definitionSchema = z.object({
  name: nameSchema,
  version: metadataSchema.shape.service.shape.version,
  description: metadataSchema.shape.service.shape.description,
  backend: metadataSchema.shape.backend,
  capabilities: metadataSchema.shape.capabilities.extend({ max_concurrency: z.int().positive() }),
  requires: metadataSchema.shape.requires,
  ui: metadataSchema.shape.ui,
  navigation: descriptorSchema.shape.ui_navigation.partial().optional(),
  endpoints: z.array(endpointSchema).optional(),
  limits: z
    .strictObject({
      bodyBytesMax: z.int().positive(),
      queueMax: z.int().nonnegative(),
      drainMs: z.int().nonnegative(),
      heartbeatMs: z.int().positive(),
    })
    .partial()
    .optional(),
});

/**
 * Checks a definition; `runService` runs it.
 * @throws NexusError `invalid_request` that names the field at fault.
 */
export function defineService(definition: ServiceDefinition): Service {
  parseOrThrow(definitionSchema, definition, "invalid_request", "service definition");
  checkOperationIds(definition);
  return Object.freeze({ ...definition }) as Service;
}

/** Where the kit itself answers. */
const kitPaths = ["/health", "/readyz", "/metrics", "/v1/metadata", "/v1/descriptor", "/v1/models"];

function checkOperationIds(definition: ServiceDefinition): void {
  const known: ReadonlySet<string> = new Set(operations.map((operation) => operation.id));
  const servable: ReadonlySet<string> = new Set(
    operations.flatMap(({ id, owner }) => (owner === "instance" ? [id] : [])),
  );
  const handled = Object.keys(definition.handlers);
  const own = (definition.endpoints ?? []).map((endpoint) => endpoint.operation_id);
  const fail = (problem: string) => new NexusError("invalid_request", `service ${definition.name}: ${problem}`);
  if (handled.length + own.length === 0) throw fail("it serves nothing: give handlers or endpoints");
  const stranger = handled.find((id) => !servable.has(id));
  if (stranger !== undefined && known.has(stranger)) throw fail(`${stranger} is not for services to handle`);
  if (stranger !== undefined) throw fail(`${stranger} is no operation of the contract: give it in endpoints`);
  const repeated = own.find((id, index) => known.has(id) || own.indexOf(id) !== index);
  if (repeated !== undefined) throw fail(`${repeated} is taken: an operation id names one endpoint`);
  const paths = (definition.endpoints ?? []).map(({ path }) => path);
  const reserved = paths.find((path) => path.startsWith("/v1/models/") || kitPaths.includes(path));
  if (reserved !== undefined) throw fail(`${reserved} belongs to the kit`);
  const contractPath = paths.find((path) => operations.some((operation) => operation.path === path));
  if (contractPath !== undefined) throw fail(`${contractPath} belongs to the contract: give it in handlers`);
}
