import type { IncomingMessage } from "node:http";
import type { Spoiling, WholeAnswer } from "./spoiling-proxy.ts";

/** A service that breaks one rule of the contract. */
export interface BrokenService extends Spoiling {
  /** Id of the conformance check that must find it. */
  readonly breaks: string;
  /** Checks that the same defect makes fail too. */
  readonly alsoBreaks?: readonly string[];
  readonly defect: string;
}

// biome-ignore lint/suspicious/noExplicitAny: what is spoiled has every shape there is
type Json = any;

/** Changes a JSON answer. */
export const json =
  (change: (value: Json) => Json) =>
  (answer: WholeAnswer): void => {
    const value = JSON.parse(answer.text);
    answer.text = JSON.stringify(change(value) ?? value);
  };
export const status =
  (code: number) =>
  (answer: WholeAnswer): void => {
    answer.status = code;
  };
export const text =
  (change: (text: string) => string) =>
  (answer: WholeAnswer): void => {
    answer.text = change(answer.text);
  };
const wait = (ms: number) => () => new Promise<void>((resolve) => setTimeout(resolve, ms));

const at =
  (...paths: string[]) =>
  (request: IncomingMessage) =>
    paths.includes(request.url ?? "");
const description = (request: IncomingMessage) =>
  request.method === "GET" && at("/v1/metadata", "/v1/descriptor")(request);
const chatPath = "/v1/chat/completions";
const chats = (part: string) => (request: IncomingMessage, body: string) =>
  request.url === chatPath && body.includes(part);
const wholeChats = (request: IncomingMessage, body: string) =>
  request.url === chatPath && body.includes('"model":"fake-chat"') && !body.includes('"stream":true');
const streams = chats('"stream":true');

const selfDescription: readonly BrokenService[] = [
  {
    breaks: "health.shape",
    alsoBreaks: ["metadata.identity"],
    defect: "its health has no version",
    concerns: at("/health"),
    spoil: json((health) => ({ ...health, version: undefined })),
  },
  {
    breaks: "health.fast",
    alsoBreaks: ["health.under-load"],
    defect: "its health looks at something slow",
    concerns: at("/health"),
    spoil: wait(130),
  },
  {
    breaks: "readiness.shape",
    alsoBreaks: ["readiness.agrees"],
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
    alsoBreaks: ["descriptor.superset"],
    defect: "it lists an endpoint that is not there",
    concerns: description,
    spoil: json((metadata) => {
      metadata.endpoints.push({ ...metadata.endpoints[0], operation_id: "ghosts.create", path: "/v1/ghosts" });
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
      metadata.models[0].domains.push("tool");
    }),
  },
  {
    breaks: "descriptor.schema",
    alsoBreaks: ["descriptor.superset"],
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
    breaks: "metrics.format",
    defect: "its metrics are prose",
    concerns: at("/metrics"),
    spoil: text(() => "everything is fine\n"),
  },
];

const http: readonly BrokenService[] = [
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
    concerns: (request, body) => request.url === chatPath && body === '{"model": ',
    spoil: status(500),
  },
  {
    breaks: "errors.missing-model",
    defect: "a missing model is taken for any",
    concerns: (request, body) => request.url === chatPath && body === "{}",
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

const operations: readonly BrokenService[] = [
  {
    breaks: "chat.answers",
    alsoBreaks: ["chat.max-tokens", "features.tools", "features.json-schema", "stream.cancel"],
    defect: "its usage does not add up",
    concerns: wholeChats,
    spoil: json((answer) => {
      if (answer.usage !== undefined) answer.usage.total_tokens += 1;
    }),
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

const streaming: readonly BrokenService[] = [
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
    breaks: "stream.cancel",
    defect: "it works on although its client has left",
    concerns: streams,
    worksOnMs: 4_000,
  },
];

/** Streams of so many tokens, without usage. */
function streamsOf(tokens: number) {
  return (request: IncomingMessage, body: string) =>
    streams(request, body) && body.includes(`"max_tokens":${tokens}`) && !body.includes("include_usage");
}

/** Health that waits for the work; counts the streams that it passes. */
function busyHealth(): BrokenService {
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

/** At least one service for each rule that can be seen from outside. */
export const brokenServices: readonly BrokenService[] = [
  ...selfDescription,
  ...http,
  ...operations,
  ...streaming,
  busyHealth(),
];
