import { badAnswer } from "./chat-pieces.ts";
import { fleetName, nanoseconds } from "./ollama-request.ts";
import { invalidField, isGiven, isObject, type JsonObject, requiredModel, requiredText } from "./request-fields.ts";
import type { Translation, TranslationContext, Translator } from "./translation.ts";

/** Ollama's `POST /api/embed` out of embeddings. `truncate` is left to the backend. */
export const ollamaEmbed: Translator = {
  from: "ollama.embed",
  to: "embeddings.create",
  translate(request, context) {
    const { input, dimensions } = request;
    if (typeof input !== "string" && !isTexts(input)) throw invalidField("input", "a string or a list of strings");
    const model = requiredModel(request);
    const fields = { input, ...(isGiven(dimensions) ? { dimensions } : {}) };
    return embedding(request, fields, context, (vectors, promptTokens) => ({
      model,
      embeddings: vectors,
      total_duration: nanoseconds(context.elapsedMs()),
      load_duration: 0,
      prompt_eval_count: promptTokens,
    }));
  },
};

/** Ollama's older `POST /api/embeddings`: one text, one vector. */
export const ollamaEmbeddings: Translator = {
  from: "ollama.embeddings",
  to: "embeddings.create",
  translate(request, context) {
    const fields = { input: requiredText(request.prompt, "prompt") };
    return embedding(request, fields, context, ([vector]) => ({ embedding: vector ?? [] }));
  },
};

function embedding(
  request: JsonObject,
  fields: JsonObject,
  context: TranslationContext,
  answer: (vectors: readonly unknown[], promptTokens: number) => object,
): Translation {
  const model = fleetName(requiredModel(request), context.hasModel);
  return {
    body: Buffer.from(JSON.stringify({ model, ...fields, encoding_format: "float" })),
    whole(body) {
      const { vectors, promptTokens } = readEmbeddings(body);
      return Buffer.from(JSON.stringify(answer(vectors, promptTokens)));
    },
    stream() {
      throw new TypeError("embeddings are not streamed");
    },
  };
}

function readEmbeddings(body: Buffer): { readonly vectors: readonly unknown[]; readonly promptTokens: number } {
  let answer: unknown;
  try {
    answer = JSON.parse(body.toString("utf8"));
  } catch (cause) {
    throw badAnswer("it is not JSON", cause);
  }
  if (!isObject(answer) || !Array.isArray(answer.data)) throw badAnswer("it has no vectors");
  const vectors = answer.data.map((entry: unknown) => {
    if (!isObject(entry) || !Array.isArray(entry.embedding)) throw badAnswer("a vector is no list");
    return entry.embedding;
  });
  const promptTokens = isObject(answer.usage) ? answer.usage.prompt_tokens : undefined;
  return { vectors, promptTokens: typeof promptTokens === "number" ? promptTokens : 0 };
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((text) => typeof text === "string");
}
