import type { IncomingMessage } from "node:http";
import { at, chats, description, type Fault, isChat, json, status, text, wait } from "./fault.ts";

const streams = chats('"stream":true');

const selfDescription: readonly Fault[] = [
  {
    breaks: "health.shape",
    defect: "its health has no version",
    concerns: at("/health"),
    spoil: json((health) => ({ ...health, version: undefined })),
  },
  {
    breaks: "health.fast",
    defect: "its health looks at something slow",
    concerns: at("/health"),
    spoil: wait(130),
  },
  {
    breaks: "readiness.shape",
    defect: "its readiness is a bare word",
    concerns: at("/readyz"),
    spoil: json(() => ({ ready: true })),
  },
  {
    breaks: "readiness.agrees",
    defect: "it is ready although a check is not",
    concerns: at("/readyz"),
    spoil: json((report) => ({ ...report, checks: { model: { status: "pending" } } })),
  },
  {
    breaks: "metadata.schema",
    defect: "it speaks another version of the contract",
    concerns: at("/v1/metadata"),
    spoil: json((metadata) => ({ ...metadata, schema_version: "2.0" })),
  },
  {
    breaks: "metadata.identity",
    defect: "its health is that of another version",
    concerns: at("/health"),
    spoil: json((health) => ({ ...health, version: "9.9.9" })),
  },
  {
    breaks: "metadata.endpoints",
    defect: "it lists an operation twice",
    concerns: description,
    spoil: json((metadata) => ({ ...metadata, endpoints: [...metadata.endpoints, metadata.endpoints[0]] })),
  },
  {
    breaks: "metadata.endpoints",
    defect: "it streams although it says that it does not",
    concerns: description,
    spoil: json((metadata) => ({ ...metadata, capabilities: { ...metadata.capabilities, streaming: false } })),
  },
  {
    breaks: "metadata.endpoints-exist",
    defect: "it lists an endpoint that is not there",
    concerns: description,
    spoil: json((metadata) => {
      metadata.endpoints.push({ ...metadata.endpoints[0], operation_id: "ghosts.create", path: "/v1/ghosts" });
      if (metadata.response_types) metadata.response_types["ghosts.create"] = ["application/json"];
    }),
  },
  {
    breaks: "metadata.models",
    defect: "it has one alias for two models",
    concerns: description,
    spoil: json((metadata) => {
      metadata.models[1].aliases = ["fake"];
    }),
  },
  {
    breaks: "metadata.models",
    defect: "it has a model of a domain that it does not name",
    concerns: description,
    spoil: json((metadata) => {
      metadata.models[0].domains.push("agent");
    }),
  },
  {
    breaks: "descriptor.schema",
    defect: "its descriptor has no navigation",
    concerns: at("/v1/descriptor"),
    spoil: json((descriptor) => ({ ...descriptor, ui_navigation: undefined })),
  },
  {
    breaks: "descriptor.superset",
    defect: "its descriptor names another backend",
    concerns: at("/v1/descriptor"),
    spoil: json((descriptor) => ({ ...descriptor, backend: { name: "other" } })),
  },
  {
    breaks: "models.list",
    defect: "it hides a model",
    concerns: at("/v1/models"),
    spoil: json((list) => ({ ...list, data: list.data.slice(1) })),
  },
  {
    breaks: "models.retrieve",
    defect: "it answers with another model",
    concerns: at("/v1/models/fake-chat"),
    spoil: json((entry) => ({ ...entry, id: "other" })),
  },
  {
    breaks: "metrics.slots-active",
    defect: "nobody can see how much it works on",
    concerns: at("/metrics"),
    spoil: text((metrics) => metrics.replaceAll(/^nexus_service_slots_active.*\n/gm, "")),
  },
  {
    breaks: "metrics.format",
    defect: "its metrics are prose",
    concerns: at("/metrics"),
    spoil: text((metrics) => `everything is fine\n${metrics}`),
  },
];

const http: readonly Fault[] = [
  {
    breaks: "request-id.echoed",
    defect: "it makes up ids of its own",
    concerns: (request) => request.headers["x-request-id"] !== undefined,
    spoil: (answer) => {
      answer.headers["x-request-id"] = `made-up-${Math.random()}`;
    },
  },
  {
    breaks: "request-id.made",
    defect: "its errors have no id",
    concerns: at("/v1/no-such-path"),
    spoil: (answer) => {
      delete answer.headers["x-request-id"];
    },
  },
  {
    breaks: "trace.accepted",
    defect: "a broken traceparent is an error",
    concerns: (request) => request.headers.traceparent === "00-broken",
    spoil: status(400),
  },
  {
    breaks: "errors.unknown-path",
    defect: "its 404 is a page",
    concerns: at("/v1/no-such-path"),
    spoil: text(() => "<h1>Not found</h1>"),
  },
  {
    breaks: "errors.wrong-method",
    defect: "it takes any method",
    concerns: (request) => request.method === "DELETE",
    spoil: status(200),
  },
  {
    breaks: "errors.invalid-json",
    defect: "broken JSON is a failure of the server",
    concerns: (request, body) => isChat(request) && body === '{"model": ',
    spoil: status(500),
  },
  {
    breaks: "errors.missing-model",
    defect: "a missing model is taken for any",
    concerns: (request, body) => isChat(request) && body === "{}",
    spoil: status(200),
  },
  {
    breaks: "errors.unknown-model",
    defect: "an unknown model has a code of its own",
    concerns: chats("no-such-model"),
    spoil: json(({ error }) => ({ error: { ...error, code: "whatever" } })),
  },
  {
    breaks: "errors.bad-field",
    defect: "a wrong field is a failure of the server",
    concerns: chats('"messages":7'),
    spoil: status(500),
  },
  {
    breaks: "errors.too-large",
    defect: "a body of 1 TiB is only a bad request",
    concerns: (request) => request.headers.expect !== undefined,
    spoil: status(400),
  },
];

const operations: readonly Fault[] = [
  {
    breaks: "chat.answers",
    defect: "its usage does not add up",
    concerns: chats('"content":"Say hello."', '"max_tokens":8,'),
    spoil: json((answer) => {
      if (answer.usage !== undefined) answer.usage.total_tokens += 1;
    }),
  },
  {
    breaks: "chat.usage",
    defect: "every prompt has seven tokens",
    concerns: (request, body) => isChat(request) && body.includes("the cat sat") && !body.includes('"stream":true'),
    spoil: json(({ usage, ...answer }) => ({ ...answer, usage: { ...usage, ...promptOf(7, usage) } })),
  },
  {
    breaks: "chat.max-tokens",
    defect: "it says more than it was asked for",
    concerns: chats('"max_tokens":4,'),
    spoil: json((answer) => ({ ...answer, usage: { prompt_tokens: 3, completion_tokens: 9, total_tokens: 12 } })),
  },
  {
    breaks: "completions.answers",
    defect: "its completions are chats",
    concerns: (request, body) => request.url === "/v1/completions" && body !== "{",
    spoil: json((answer) => ({ ...answer, object: "chat.completion" })),
  },
  {
    breaks: "embeddings.answers",
    defect: "it mixes up the order of texts",
    concerns: (request, body) => request.url === "/v1/embeddings" && body !== "{",
    spoil: json((answer) => {
      answer.data?.reverse();
    }),
  },
  {
    breaks: "features.embeddings-dim",
    defect: "it lies about the length of its vectors",
    concerns: description,
    spoil: json((metadata) => {
      metadata.models[1].features.embeddings_dim = 768;
    }),
  },
  {
    breaks: "features.tools",
    defect: "it lies about tools",
    concerns: chats('"tools"'),
    spoil: json((answer) => {
      answer.choices[0].message = { role: "assistant", content: "I would call set_colour." };
    }),
  },
  {
    breaks: "features.json-schema",
    defect: "it lies about JSON schemas",
    concerns: chats('"response_format"'),
    spoil: json((answer) => {
      answer.choices[0].message.content = "Green.";
    }),
  },
];

const features: readonly Fault[] = [
  {
    breaks: "features.vision",
    defect: "it lies about pictures",
    concerns: chats('"image_url"'),
    spoil: json(({ usage, ...answer }) => ({ ...answer, usage: { ...usage, ...promptOf(5, usage) } })),
  },
  {
    breaks: "features.context-window",
    defect: "it lies about its context window",
    concerns: description,
    spoil: json((metadata) => {
      metadata.models[0].context_window = 4096;
    }),
  },
  {
    breaks: "errors.context-length",
    defect: "a prompt that is too long is a failure of the server",
    concerns: (request, body) => isChat(request) && body.length > 9_000,
    spoil: status(500),
  },
  {
    breaks: "errors.context-length",
    defect: "a prompt that is too long is cut in silence",
    concerns: (request, body) => isChat(request) && body.length > 9_000,
    spoil: (answer) => {
      answer.status = 200;
      answer.text = "{}";
    },
  },
];

function promptOf(tokens: number, { completion_tokens: completion }: Usage): Partial<Usage> {
  return { prompt_tokens: tokens, total_tokens: tokens + completion };
}

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

const streaming: readonly Fault[] = [
  {
    breaks: "stream.framing",
    defect: "its streams end without [DONE]",
    concerns: streamsOf(8),
    spoil: text((stream) => stream.replace("data: [DONE]\n\n", "")),
  },
  {
    breaks: "stream.framing",
    defect: "its streams break off in the middle of an event",
    concerns: streamsOf(8),
    spoil: text((stream) => stream.slice(0, -20)),
  },
  {
    breaks: "stream.usage",
    defect: "it forgets the usage of streams",
    concerns: chats('"stream_options"'),
    spoil: text((stream) => stream.replace(/data: [^\n]*"usage"[^\n]*\n\n/, "")),
  },
  {
    breaks: "stream.concurrent",
    defect: "it works on one request after the other",
    concerns: streams,
    atOnce: 1,
  },
  {
    breaks: "stream.counted",
    defect: "it says that it has nothing to do",
    concerns: at("/metrics"),
    spoil: text((metrics) => metrics.replaceAll(/^(nexus_service_slots_active) [2-9]$/gm, "$1 0")),
  },
  {
    breaks: "work.cancel",
    defect: "it thinks on although nobody waits for its answer",
    concerns: (request, body) => at("/v1/completions")(request) && body.includes("lighthouse"),
    worksOnMs: 2_000,
  },
  {
    breaks: "stream.cancel",
    defect: "it works on although its client has left",
    concerns: streams,
    worksOnMs: 2_000,
  },
];

/** Streams of so many tokens, without usage. */
function streamsOf(tokens: number) {
  return (request: IncomingMessage, body: string) =>
    streams(request, body) && body.includes(`"max_tokens":${tokens}`) && !body.includes("include_usage");
}

/** Health that waits for the work; counts the streams that it passes. */
function busyHealth(): Fault {
  let open = 0;
  return {
    breaks: "health.under-load",
    defect: "its health waits for its work",
    concerns: (request, body) => {
      if (streams(request, body) && !body.includes('"max_tokens":8')) {
        open++;
        request.socket.once("close", () => open--);
      }
      return request.url === "/health" && open > 0;
    },
    spoil: wait(130),
  };
}

/** At least one fault for each rule about self-description, HTTP, chats, completions, embeddings and streams. */
export const faults: readonly Fault[] = [
  ...selfDescription,
  ...http,
  ...operations,
  ...features,
  ...streaming,
  busyHealth(),
];
