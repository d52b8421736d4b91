import type { Domain, Endpoint } from "./metadata.ts";

/** One API operation: what a client asks for, whoever serves it. Ids are those of OpenAI's API where it has one. */
export interface Operation {
  readonly id: string;
  readonly method: "GET" | "POST";
  /** Path below an instance's base URL and below the gateway's. */
  readonly path: string;
  /** A model serves the operation when it has one of these domains. */
  readonly domains: readonly Domain[];
  readonly streaming: boolean;
  readonly summary: string;
  readonly requestSchema: string;
  readonly responseSchema: string;
}

/** Every operation that the gateway routes to instances. A new domain is a new row here. */
export const operations = [
  {
    id: "chat.completions.create",
    method: "POST",
    path: "/v1/chat/completions",
    domains: ["chat"],
    streaming: true,
    summary: "Answer a conversation",
    requestSchema: "CreateChatCompletionRequest",
    responseSchema: "CreateChatCompletionResponse",
  },
  {
    id: "completions.create",
    method: "POST",
    path: "/v1/completions",
    domains: ["chat"],
    streaming: true,
    summary: "Continue a text",
    requestSchema: "CreateCompletionRequest",
    responseSchema: "CreateCompletionResponse",
  },
  {
    id: "embeddings.create",
    method: "POST",
    path: "/v1/embeddings",
    domains: ["embedding"],
    streaming: false,
    summary: "Turn texts into vectors",
    requestSchema: "CreateEmbeddingRequest",
    responseSchema: "CreateEmbeddingResponse",
  },
] as const satisfies readonly Operation[];

export type OperationId = (typeof operations)[number]["id"];

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
