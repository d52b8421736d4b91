import { operations } from "../contract/operations.ts";

const errorResponse = { $ref: "#/components/responses/Error" };
const jsonOf = (schema: object) => ({ "application/json": { schema } });
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const answered = (description: string, content: object) => ({ description, content });

/** Fields that Nexus itself reads; everything else is passed on to the service untouched. */
const requestProperties: Readonly<Record<string, object>> = {
  CreateChatCompletionRequest: {
    messages: { type: "array", items: { type: "object" }, minItems: 1 },
    tools: { type: "array", items: { type: "object" } },
    response_format: { type: "object" },
  },
  CreateCompletionRequest: { prompt: {} },
  CreateEmbeddingRequest: { input: {} },
};

function requestSchema(name: string, streaming: boolean): object {
  const own = requestProperties[name] ?? {};
  const required = ["model", ...Object.keys(own).filter((key) => ["messages", "prompt", "input"].includes(key))];
  const stream = streaming ? { stream: { type: "boolean", default: false } } : {};
  return {
    type: "object",
    required,
    properties: { model: { type: "string", minLength: 1, maxLength: 256 }, ...stream, ...own },
    additionalProperties: true,
  };
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

function operationPaths(): Record<string, object> {
  return Object.fromEntries(
    operations.map(({ id, path, method, summary, streaming, requestSchema: request, responseSchema: response }) => [
      path,
      {
        [method.toLowerCase()]: {
          operationId: id,
          summary,
          requestBody: { required: true, content: jsonOf(ref(request)) },
          responses: {
            200: answered("OK", {
              ...jsonOf(ref(response)),
              ...(streaming ? { "text/event-stream": { schema: { type: "string" } } } : {}),
            }),
            default: errorResponse,
          },
        },
      },
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

/** `GET /openapi.json`: OpenAPI 3.1 of the gateway's surface. */
export function openapiDocument(version: string): object {
  const requests = operations.map((one) => [one.requestSchema, requestSchema(one.requestSchema, one.streaming)]);
  const answers = operations.map((one) => [one.responseSchema, { type: "object", additionalProperties: true }]);
  const anyObject = { type: "object", additionalProperties: true };
  return {
    openapi: "3.1.0",
    info: { title: "Nexus gateway", version, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    security: [{ key: [] }],
    paths: {
      "/health": page("The process lives", anyObject, true),
      "/readyz": page("It can take requests", anyObject, true),
      "/openapi.json": page("This document", anyObject, true),
      "/metrics": {
        get: {
          summary: "Metrics for Prometheus",
          responses: { 200: answered("OK", { "text/plain": { schema: { type: "string" } } }), default: errorResponse },
        },
      },
      "/v1/metadata": page("What the gateway is and offers", anyObject),
      "/v1/descriptor": page("The metadata and what a console needs", anyObject),
      "/v1/models": page("Every model of the fleet", ref("ModelList")),
      "/v1/models/{model}": {
        parameters: [{ name: "model", in: "path", required: true, schema: { type: "string" } }],
        ...page("One model", ref("Model")),
      },
      ...operationPaths(),
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
        ...Object.fromEntries([...requests, ...answers]),
      },
    },
  };
}
