import { NexusError } from "nexus/base";
import { z } from "zod";
import { parseRequest } from "./chat-request.ts";
import { toKnownTokens } from "./known-tokens.ts";
import type { OpenModel } from "./open-model.ts";

const tokenId = z.int().nonnegative();
const embeddingsSchema = z.looseObject({
  model: z.string(),
  input: z.union([
    z.string().min(1),
    z.array(z.string().min(1)).min(1).max(2048),
    z.array(tokenId).min(1),
    z.array(z.array(tokenId).min(1)).min(1).max(2048),
  ]),
  encoding_format: z.enum(["float", "base64"]).nullish(),
  dimensions: z.int().positive().nullish(),
});

export interface EmbeddingsRun {
  readonly model: OpenModel;
  readonly body: unknown;
  readonly signal: AbortSignal;
}

/**
 * One vector of length 1 for each input.
 * @throws NexusError `invalid_request`, or `context_length_exceeded` when an input is too long: nothing is cut.
 */
export async function answerEmbeddings({ model, body, signal }: EmbeddingsRun): Promise<object> {
  const request = parseRequest(embeddingsSchema, body);
  const length = model.model.embeddingVectorSize;
  if (typeof request.dimensions === "number" && request.dimensions !== length) {
    throw new NexusError("invalid_request", `The vectors of this model have ${length} dimensions.`, {
      param: "dimensions",
    });
  }
  const context = await model.embeddingContext();
  const inputs = inputsOf(request.input).map((input) => {
    const tokens =
      typeof input === "string" ? model.model.tokenize(input, false) : toKnownTokens(input, model, "input");
    const count = context.calculateInputLength([...tokens]);
    if (count < model.embeddingTokens) return { tokens, count };
    throw new NexusError(
      "context_length_exceeded",
      `An input has ${count} tokens; at most ${model.embeddingTokens - 1} can be embedded at once. Split it.`,
      { param: "input" },
    );
  });
  const data: object[] = [];
  for (const [index, { tokens }] of inputs.entries()) {
    signal.throwIfAborted();
    const { vector } = await context.getEmbeddingFor(tokens);
    data.push({ object: "embedding", index, embedding: encode(normalise(vector), request.encoding_format ?? "float") });
  }
  const promptTokens = inputs.reduce((sum, { count }) => sum + count, 0);
  return {
    object: "list",
    data,
    model: request.model,
    usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
  };
}

type Input = string | readonly number[];

function inputsOf(input: z.output<typeof embeddingsSchema>["input"]): readonly Input[] {
  if (typeof input === "string") return [input];
  return input.every((part) => typeof part === "number") ? [input] : (input as readonly Input[]);
}

/** To length 1, as OpenAI's vectors are: a dot product is then the cosine. */
function normalise(vector: readonly number[]): Float32Array {
  const length = Math.hypot(...vector) || 1;
  return Float32Array.from(vector, (value) => value / length);
}

function encode(vector: Float32Array, format: "float" | "base64"): number[] | string {
  if (format === "float") return [...vector];
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
}
