import {
  invalidField,
  isGiven,
  isObject,
  type JsonObject,
  optionalList,
  renamed,
  requiredModel,
  requiredObject,
} from "./request-fields.ts";
import type { TranslationContext } from "./translation.ts";

/**
 * Options that mean the same in a chat completion. Servers ignore those that they do not know; all but the first six
 * are llama.cpp's own. What concerns how a model is loaded (`num_ctx`, `num_gpu`, `num_thread`, ...) is its owner's
 * affair here: Ollama ignores options that it does not know in the same way.
 */
const optionNames: Readonly<Record<string, string>> = {
  temperature: "temperature",
  top_p: "top_p",
  seed: "seed",
  stop: "stop",
  presence_penalty: "presence_penalty",
  frequency_penalty: "frequency_penalty",
  top_k: "top_k",
  min_p: "min_p",
  typical_p: "typical_p",
  repeat_last_n: "repeat_last_n",
  mirostat: "mirostat",
  mirostat_tau: "mirostat_tau",
  mirostat_eta: "mirostat_eta",
};

/** The fields of a chat completion, or a completion, that a request of Ollama's asks for besides what is said. */
export function commonFields(request: JsonObject, context: TranslationContext): Record<string, unknown> {
  const stream = isStreamed(request);
  return {
    model: fleetName(requiredModel(request), context.hasModel),
    stream,
    ...(stream ? { stream_options: { include_usage: true } } : {}),
    ...samplingFields(isGiven(request.options) ? requiredObject(request.options, "options") : {}),
  };
}

/** Fields that chat completions have and completions have not. */
export function chatFields(request: JsonObject): Record<string, unknown> {
  return { ...formatFields(request.format), ...thinkFields(request.think), ...logprobFields(request) };
}

/** Ollama streams unless it is told not to. */
export function isStreamed(request: JsonObject): boolean {
  return request.stream !== false;
}

/**
 * The name that the fleet has for a model: Ollama takes `name` and `name:latest` for the same. A name that neither is
 * known under stays as it is, so that the error tells the one that was asked for.
 */
export function fleetName(name: string, hasModel: (name: string) => boolean): string {
  const latest = ":latest";
  if (hasModel(name)) return name;
  const other = name.endsWith(latest) ? name.slice(0, -latest.length) : `${name}${latest}`;
  return hasModel(other) ? other : name;
}

function samplingFields(options: JsonObject): Record<string, unknown> {
  const { num_predict: limit, repeat_penalty: penalty } = options;
  const fields = renamed(options, optionNames);
  // -1 is no limit, -2 as much as the window holds.
  if (typeof limit === "number" && limit > 0) fields.max_tokens = limit;
  // llama.cpp and LM Studio have the one name, vLLM and SGLang the other.
  if (isGiven(penalty)) Object.assign(fields, { repeat_penalty: penalty, repetition_penalty: penalty });
  return fields;
}

function formatFields(format: unknown): Record<string, unknown> {
  if (!isGiven(format) || format === "") return {};
  if (format === "json") return { response_format: { type: "json_object" } };
  if (!isObject(format)) throw invalidField("format", '"json" or a JSON schema');
  return { response_format: { type: "json_schema", json_schema: { name: "answer", schema: format } } };
}

/** Levels and switches of thinking: `reasoning_effort` is OpenAI's and Ollama's, the other is vLLM's and llama.cpp's. */
function thinkFields(think: unknown): Record<string, unknown> {
  if (!isGiven(think)) return {};
  if (typeof think === "string") return { reasoning_effort: think };
  if (typeof think !== "boolean") throw invalidField("think", 'true, false, "low", "medium" or "high"');
  const template = { chat_template_kwargs: { enable_thinking: think } };
  return think ? template : { ...template, reasoning_effort: "none" };
}

function logprobFields({ logprobs, top_logprobs: top }: JsonObject): Record<string, unknown> {
  if (logprobs !== true) return {};
  return { logprobs, ...(isGiven(top) ? { top_logprobs: top } : {}) };
}

/** What each encoding of an image begins with in base64. */
const imageTypes: readonly (readonly [prefix: string, type: string])[] = [
  ["/9j/", "image/jpeg"],
  ["iVBORw", "image/png"],
  ["R0lGOD", "image/gif"],
  ["UklGR", "image/webp"],
];

/** What a message says: text alone as text, with images as parts. @throws NexusError `invalid_request` */
export function contentWithImages(text: string, images: unknown, param: string): unknown {
  const list = optionalList(images, param);
  if (list.length === 0) return text;
  const parts = list.map((image, index) => {
    if (typeof image !== "string") throw invalidField(`${param}[${index}]`, "an image in base64");
    return { type: "image_url", image_url: { url: imageUrl(image) } };
  });
  return text === "" ? parts : [{ type: "text", text }, ...parts];
}

function imageUrl(image: string): string {
  if (image.startsWith("data:")) return image;
  const type = imageTypes.find(([prefix]) => image.startsWith(prefix))?.[1] ?? "image/png";
  return `data:${type};base64,${image}`;
}

/** Ollama counts time in nanoseconds. */
export function nanoseconds(ms: number): number {
  return Math.round(ms * 1_000_000);
}
