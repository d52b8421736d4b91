import { type Clock, systemClock } from "nexus/base";
import { defineService, eventStream, type Handler, json, type Service, type ServiceContext } from "nexus/service-kit";
import { answerChat, chatChunks, chatCompletion } from "./answer-chat.ts";
import { answerCompletion, completionAnswer, completionChunks, parseCompletionRequest } from "./answer-completion.ts";
import { answerEmbeddings } from "./answer-embeddings.ts";
import { parseChatRequest } from "./chat-request.ts";
import { createModelHost, type ModelHost } from "./model-host.ts";
import type { LlmSettings } from "./settings.ts";

export interface LlmServiceOptions {
  readonly settings: LlmSettings;
  readonly version: string;
  /** Of what carries llama.cpp. */
  readonly backendVersion: string;
  /** For pip, which downloads models. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
}

/** Bytes of one request: a context's worth of text many times over. */
const bodyBytesMax = 16 * 1024 * 1024;

/** The built-in model service: chat, completions and embeddings with llama.cpp. */
export function createLlmService(options: LlmServiceOptions): Service {
  const { settings, version } = options;
  let host: ModelHost | undefined;
  const current = (): ModelHost => {
    if (host === undefined) throw new RangeError("a request came before start");
    return host;
  };
  return defineService({
    name: "llm",
    version,
    description: "Language models on this machine's processor, with llama.cpp. The default model is small.",
    backend: { name: "llama.cpp", vendor: "ggml.ai", version: options.backendVersion },
    capabilities: {
      domains: ["chat", "embedding"],
      modalities: { input: ["text"], output: ["text", "vector"] },
      streaming: true,
      max_concurrency: settings.parallel,
      features: ["json_object", "json_schema", "tools", "logprobs", "seed", "stop", "n", "prefix_cache", "cancel"],
    },
    requires: { cpu: settings.threads, memory: 1024 ** 3, disk: 512 * 1024 ** 2, warmup_seconds: 5 },
    ui: { options: uiOptions(settings) },
    navigation: { section: "chat", title: "Chat", icon: "message", order: 10 },
    limits: { bodyBytesMax },
    models: () => host?.published() ?? [],
    handlers: {
      "chat.completions.create": (request) => serveChat(current(), request),
      "completions.create": (request) => serveCompletion(current(), request),
      "embeddings.create": (request) => serveEmbeddings(current(), request),
    },
    async start(context: ServiceContext) {
      host = await createModelHost({ ...options, context, clock: options.clock ?? systemClock });
    },
    stop: async () => await host?.close(),
  });
}

const serveChat = async (host: ModelHost, { body, signal }: Parameters<Handler>[0]) => {
  const request = parseChatRequest(body);
  const steps = host.withModel(request.model, signal, ({ model, defaults }) =>
    answerChat({ model, defaults, request, signal }),
  );
  return request.stream === true ? eventStream(chatChunks(request, steps)) : json(await chatCompletion(request, steps));
};

const serveCompletion = async (host: ModelHost, { body, signal }: Parameters<Handler>[0]) => {
  const request = parseCompletionRequest(body);
  const steps = host.withModel(request.model, signal, ({ model, defaults }) =>
    answerCompletion({ model, defaults, request, signal }),
  );
  return request.stream === true
    ? eventStream(completionChunks(request, steps))
    : json(await completionAnswer(request, steps));
};

const serveEmbeddings = async (host: ModelHost, { body, signal }: Parameters<Handler>[0]) => {
  const answers = host.withModel(String(body.model), signal, async function* ({ model }) {
    yield await answerEmbeddings({ model, body, signal });
  });
  const { value } = await answers.next();
  await answers.return(undefined);
  return json(value);
};

function uiOptions(settings: LlmSettings) {
  return [
    {
      key: "temperature",
      label: "Temperature",
      type: "number" as const,
      min: 0,
      max: 2,
      description: "0 always takes the likeliest word.",
    },
    { key: "top_p", label: "Top P", type: "number" as const, min: 0, max: 1 },
    {
      key: "max_tokens",
      label: "Longest answer",
      type: "integer" as const,
      min: 1,
      max: settings.contextTokens,
      description: "In tokens.",
    },
    { key: "seed", label: "Seed", type: "integer" as const, description: "The same seed gives the same answer." },
    { key: "stop", label: "Stop at", type: "string" as const },
  ];
}
