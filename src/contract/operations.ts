import { gatewayOperations } from "./gateway-operations.ts";
import type { Domain, Endpoint } from "./metadata.ts";
import { routedOperations } from "./routed-operations.ts";

/** How the body of a request is written: one JSON object, a form with files in it, the client's choice, or nothing. */
export type BodyKind = "json" | "multipart" | "either" | "none";

/**
 * How a good answer is written. `event-stream`: server-sent events, when the request asks for them. `text`: a transcript,
 * or subtitles. `media`: bytes of sound, pictures or files, passed on as they are made and never held back to be looked at.
 */
export type AnswerKind = "json" | "event-stream" | "text" | "media" | "websocket";

/** Where the request says which model is meant; `none` for what concerns no model, or one that is known already. */
export type ModelPlace = "body" | "query" | "none";

/**
 * Where the answer, or its last event, says what it cost. `prompt-completion`: `usage.prompt_tokens` and
 * `usage.completion_tokens`. `input-output`: `usage.input_tokens` and `usage.output_tokens`. `pages`:
 * `usage_info.pages_processed`. Backends may leave out any of them.
 */
export type UsageShape = "prompt-completion" | "input-output" | "pages" | "none";

/**
 * A step in the life of a job, which lives on the instance that took it. `create`: the answer's `id` names the job from
 * then on. `one`: the path's `{id}` does, and the call goes to the instance that made the job and to no other. `derive`: the
 * same, and the answer's `id` names another job that is made of it. `list`: every instance knows its own jobs only.
 */
export interface JobStep {
  readonly of: "video" | "music";
  readonly step: "create" | "one" | "derive" | "list";
}

/** One row of the table, without what follows from it. */
export interface OperationRow {
  readonly id: string;
  readonly method: "GET" | "POST" | "DELETE";
  /** Path below an instance's base URL and below the gateway's. `{id}` stands for one segment. */
  readonly path: string;
  /** Who answers: an instance that offers it, or the gateway itself out of its own store. */
  readonly owner: "instance" | "gateway";
  /** A model serves the operation when it has one of these domains. Empty when it concerns no model. */
  readonly domains: readonly Domain[];
  /** A feature that the model must have besides. */
  readonly feature?: "realtime";
  readonly model: ModelPlace;
  /** The model may be left out, as in OpenAI's API: then the only one that is there is meant. */
  readonly isModelOptional?: true;
  readonly body: BodyKind;
  /** The first is the usual one. */
  readonly answers: readonly AnswerKind[];
  /** Media types of `media` answers. */
  readonly media?: readonly string[];
  /** Asking twice does no more than asking once, but for the work: it may be hedged and repeated elsewhere. */
  readonly idempotent: boolean;
  /** Minutes of a GPU, or money: tried again only when the connection was refused. */
  readonly costly: boolean;
  /** Default of the time that the first byte of the answer may take, once the request is sent. */
  readonly firstTokenMs: number;
  readonly usage: UsageShape;
  readonly job?: JobStep;
  /** A server that has models of these domains, and does not list its operations, is taken to offer it. */
  readonly usual: boolean;
  readonly summary: string;
  /** Name of the schema in the API's own description; null when there is no body, or bytes. */
  readonly requestSchema: string | null;
  readonly responseSchema: string | null;
}

/** One API operation: what a client asks for, whoever serves it. Ids are those of OpenAI's Python SDK where it has one. */
export interface Operation extends OperationRow {
  /** Answers with events when the request says `"stream": true` (speech: `"stream_format": "sse"`). */
  readonly streaming: boolean;
}

export { routedOperations } from "./routed-operations.ts";

type Row = (typeof routedOperations)[number] | (typeof gatewayOperations)[number];
export type OperationId = Row["id"];
/** Operations that an instance can serve. */
export type RoutedOperationId = (typeof routedOperations)[number]["id"];

const rows: readonly (OperationRow & { readonly id: OperationId })[] = [...routedOperations, ...gatewayOperations];

/** Every operation of the platform's API. A new domain is a new row in one of its two halves. */
export const operations: readonly (Operation & { readonly id: OperationId })[] = rows.map((row) => ({
  ...row,
  streaming: row.answers.includes("event-stream"),
}));

const byId: ReadonlyMap<string, Operation> = new Map(operations.map((operation) => [operation.id, operation]));

export function operationById(id: OperationId): Operation {
  const operation = byId.get(id);
  if (operation === undefined) throw new RangeError(`unknown operation ${id}`);
  return operation;
}

/** How metadata names an operation of the contract. */
export function endpointOf(operation: Operation): Endpoint {
  const { id, method, path, summary, requestSchema, responseSchema, streaming } = operation;
  return {
    method,
    path,
    operation_id: id,
    summary,
    request_schema: requestSchema,
    response_schema: responseSchema,
    streaming,
  };
}

const typesOfKind: Readonly<Record<Exclude<AnswerKind, "media" | "websocket">, string>> = {
  json: "application/json",
  "event-stream": "text/event-stream",
  text: "text/plain",
};

/** Media types that the operation can answer with, for a descriptor. A type may be a range such as `audio/*`. */
export function responseTypesOf({ answers, media = [] }: Pick<Operation, "answers" | "media">): readonly string[] {
  return answers.flatMap((kind) => {
    if (kind === "media") return media;
    return kind === "websocket" ? [] : [typesOfKind[kind]];
  });
}

/** What servers of a domain offer that do not list their operations. */
export function usualOperations(domains: Iterable<Domain>): readonly (Operation & { readonly id: OperationId })[] {
  const wanted = new Set(domains);
  return operations.filter((operation) => operation.usual && operation.domains.some((domain) => wanted.has(domain)));
}
