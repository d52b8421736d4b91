import { type BodyKind, type Operation, responseTypesOf } from "../contract/operations.ts";

type Schema = Readonly<Record<string, unknown>>;

const errorResponse = { $ref: "#/components/responses/Error" };
const jsonOf = (schema: object) => ({ "application/json": { schema } });
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const answered = (description: string, content: object) => ({ description, content });
const parameter = (name: string, place: "path" | "query") => ({
  name,
  in: place,
  required: true,
  schema: { type: "string" },
});

const instanceParameters = [parameter("service", "path"), parameter("instance", "path")];

const text = { type: "string" };
const object = { type: "object" };
const listOf = (items: object) => ({ type: "array", items });
/** A file in a form. */
const binary = { type: "string", format: "binary" };

/** Fields besides `model` that every request must have; everything else is passed on to the service untouched. */
const requiredFields: Readonly<Record<string, Schema>> = {
  CreateChatCompletionRequest: { messages: { ...listOf(object), minItems: 1 } },
  CreateCompletionRequest: { prompt: {} },
  CreateMessageParams: { messages: listOf(object), max_tokens: { type: "integer" } },
  CountMessageTokensParams: { messages: listOf(object) },
  CreateEmbeddingRequest: { input: {} },
  CreateModerationRequest: { input: {} },
  RerankRequest: { query: text, documents: listOf({}) },
  OCRRequest: { document: object },
  CreateImageRequest: { prompt: text },
  CreateImageEditRequest: { prompt: text },
  CreateImageVariationRequest: { image: binary },
  CreateSpeechRequest: { input: text },
  CreateTranscriptionRequest: { file: binary },
  CreateTranslationRequest: { file: binary },
  CreateVideoBody: { prompt: text },
  CreateVideoRemixBody: { prompt: text },
  CreateMusicBody: { prompt: text },
  CreateFileRequest: { file: binary, purpose: text },
  CreateBatchRequest: { input_file_id: text, endpoint: text, completion_window: text },
};

/** Fields that Nexus itself reads when they are there. */
const optionalFields: Readonly<Record<string, Schema>> = {
  CreateChatCompletionRequest: { tools: listOf(object), response_format: object },
  CreateResponse: {
    input: {},
    previous_response_id: text,
    store: { type: "boolean" },
    background: { type: "boolean" },
    tools: listOf(object),
  },
  CreateImageEditRequest: { image: binary, mask: binary },
  CreateVideoBody: { input_reference: binary },
};

function requestSchema({ requestSchema: name, streaming, model, isModelOptional }: Operation): Schema {
  const named = model === "body" ? { model: { type: "string", minLength: 1, maxLength: 256 } } : {};
  const required = { ...(isModelOptional === true ? {} : named), ...requiredFields[name ?? ""] };
  const stream = streaming ? { stream: { type: "boolean", default: false } } : {};
  return {
    type: "object",
    required: Object.keys(required),
    properties: { ...named, ...required, ...stream, ...optionalFields[name ?? ""] },
    additionalProperties: true,
  };
}

function metricsPage(summary: string): object {
  const responses = { 200: answered("OK", { "text/plain": { schema: text } }), default: errorResponse };
  return { get: { summary, responses } };
}

function page(summary: string, schema: object, open = false): object {
  return {
    get: {
      summary,
      ...(open ? { security: [] } : {}),
      responses: { 200: answered("OK", jsonOf(schema)), default: errorResponse },
    },
  };
}

const bodyTypes: Readonly<Record<BodyKind, readonly string[]>> = {
  json: ["application/json"],
  multipart: ["multipart/form-data"],
  either: ["multipart/form-data", "application/json"],
  none: [],
};

/** What one method of a path does. */
function operationItem(operation: Operation): object {
  const { id, summary, body, model, path, requestSchema: request, answers } = operation;
  const parameters = [
    ...(path.includes("{id}") ? [parameter("id", "path")] : []),
    ...(model === "query" ? [parameter("model", "query")] : []),
  ];
  const content = Object.fromEntries(bodyTypes[body].map((type) => [type, { schema: ref(request ?? "") }]));
  const good = answers.includes("websocket")
    ? { 101: { description: "The WebSocket is open" } }
    : { 200: answered("OK", answerContent(operation)) };
  return {
    operationId: id,
    summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === "none" ? {} : { requestBody: { required: true, content } }),
    responses: { ...good, default: errorResponse },
  };
}

function answerContent(operation: Operation): object {
  const schemaOf = (type: string): object => {
    if (type === "application/json") return ref(operation.responseSchema ?? "");
    return type.startsWith("text/") ? text : {};
  };
  return Object.fromEntries(responseTypesOf(operation).map((type) => [type, { schema: schemaOf(type) }]));
}

function operationPaths(operations: readonly Operation[]): Record<string, object> {
  const byPath = Map.groupBy(operations, ({ path }) => path);
  return Object.fromEntries(
    [...byPath].map(([path, here]) => [
      path,
      Object.fromEntries(here.map((operation) => [operation.method.toLowerCase(), operationItem(operation)])),
    ]),
  );
}

function errorSchema(): object {
  const nullableText = { type: ["string", "null"] };
  const properties = {
    message: { type: "string" },
    type: { type: "string" },
    param: nullableText,
    code: { type: "string" },
  };
  return {
    type: "object",
    required: ["error"],
    properties: { error: { type: "object", required: Object.keys(properties), properties } },
  };
}

/** `GET /openapi.json`: OpenAPI 3.1 of the gateway's surface, with these operations. */
export function openapiDocument(version: string, operations: readonly Operation[]): object {
  const anyObject = { type: "object", additionalProperties: true };
  const answers = operations.map(({ responseSchema: name }) => [name, anyObject] as const);
  const requests = operations.map((one) => [one.requestSchema, requestSchema(one)] as const);
  const named = [...answers, ...requests].filter(([name]) => name !== null);
  return {
    openapi: "3.1.0",
    info: { title: "Nexus gateway", version, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    security: [{ key: [] }],
    paths: {
      "/health": page("The process lives", anyObject, true),
      "/readyz": page("It can take requests", anyObject, true),
      "/openapi.json": page("This document", anyObject, true),
      "/metrics": metricsPage("Metrics for Prometheus"),
      "/v1/nexus/targets": page("What can be measured, for Prometheus's HTTP discovery", listOf(anyObject)),
      "/v1/nexus/instances/{service}/{instance}/metrics": {
        parameters: instanceParameters,
        ...metricsPage("Metrics of an instance"),
      },
      "/v1/nexus/instances/{service}/{instance}/descriptor": {
        parameters: instanceParameters,
        ...page("What an instance is and what a console needs", anyObject),
      },
      "/v1/metadata": page("What the gateway is and offers", anyObject),
      "/v1/descriptor": page("The metadata and what a console needs", anyObject),
      "/v1/models": page("Every model of the fleet", ref("ModelList")),
      "/v1/models/{model}": {
        parameters: [parameter("model", "path")],
        ...page("One model", ref("Model")),
      },
      ...operationPaths(operations),
    },
    components: {
      securitySchemes: { key: { type: "http", scheme: "bearer" } },
      responses: { Error: answered("What is wrong and what to do", jsonOf(ref("Error"))) },
      schemas: {
        Error: errorSchema(),
        Model: { type: "object", required: ["id", "object", "created", "owned_by"], additionalProperties: true },
        ModelList: {
          type: "object",
          properties: { object: { const: "list" }, data: { type: "array", items: ref("Model") } },
        },
        ...Object.fromEntries(named),
      },
    },
  };
}
