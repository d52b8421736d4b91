import { NexusError } from "nexus/base";
import { z } from "zod";
import type { KeptModel } from "./keep-text-models.ts";
import { parseRequest } from "./parse-request.ts";
import { mannersOf, marked, type TextRole } from "./text-manners.ts";
import { shortened, toLengthOne } from "./vectors.ts";

/** Texts of one request, as OpenAI has it. */
const textsMax = 2048;

const requestSchema = z.looseObject({
  model: z.string(),
  input: z.union([
    z.string().min(1),
    z.array(z.string().min(1)).min(1).max(textsMax),
    z.array(z.int()).min(1),
    z.array(z.array(z.int())).min(1),
  ]),
  encoding_format: z.enum(["float", "base64"]).nullish(),
  dimensions: z.int().positive().nullish(),
  input_type: z
    .enum(["query", "search_query", "document", "passage", "search_document", "classification", "clustering"])
    .nullish(),
});
type EmbeddingsRequest = z.output<typeof requestSchema>;

/**
 * One vector of length 1 for each text, in their order.
 * @throws NexusError `invalid_request`, `unsupported_feature` for tokens instead of texts, or
 *   `context_length_exceeded` when a text is too long: nothing is cut, and nothing is read before all are measured.
 */
export async function answerEmbeddings(kept: KeptModel, body: unknown, signal: AbortSignal): Promise<object> {
  const request = parseRequest(requestSchema, body);
  const { entry, model } = kept;
  const dimensions = wantedDimensions(request, kept);
  const manners = mannersOf(entry.id);
  const texts = textsOf(request).map((text) => marked(text, roleOf(request.input_type), manners));
  const counts = await model.count(texts);
  refuseLong(counts, model.facts.tokensMax);
  const data: object[] = [];
  for (const [index, text] of texts.entries()) {
    signal.throwIfAborted();
    const vector = toLengthOne(await model.read(text));
    const embedding = encode(shortened(vector, dimensions), request.encoding_format ?? "float");
    data.push({ object: "embedding", index, embedding });
  }
  const tokens = counts.reduce((sum, count) => sum + count, 0);
  return { object: "list", data, model: entry.id, usage: { prompt_tokens: tokens, total_tokens: tokens } };
}

function textsOf({ input }: EmbeddingsRequest): readonly string[] {
  if (typeof input === "string") return [input];
  if (input.every((text) => typeof text === "string")) return input;
  throw new NexusError(
    "unsupported_feature",
    "`input` must be text: numbers are tokens of another model's vocabulary here. In LangChain, set " +
      "`check_embedding_ctx_length=False`.",
    { param: "input" },
  );
}

function roleOf(inputType: EmbeddingsRequest["input_type"]): TextRole | undefined {
  if (inputType === "query" || inputType === "search_query") return "query";
  return inputType === "document" || inputType === "passage" || inputType === "search_document"
    ? "document"
    : undefined;
}

function wantedDimensions({ dimensions }: EmbeddingsRequest, { entry, model }: KeptModel): number {
  const full = model.facts.dimensions;
  if (dimensions === null || dimensions === undefined || dimensions === full) return full;
  const { dimensionsMin } = mannersOf(entry.id);
  if (dimensionsMin !== undefined && dimensions >= dimensionsMin && dimensions < full) return dimensions;
  const choice =
    dimensionsMin === undefined
      ? `${full} dimensions and cannot be shortened`
      : `${full} dimensions, or any number from ${dimensionsMin} on below that`;
  throw new NexusError("unsupported_feature", `The vectors of ${entry.id} have ${choice}.`, { param: "dimensions" });
}

function refuseLong(counts: readonly number[], tokensMax: number): void {
  const index = counts.findIndex((count) => count > tokensMax);
  if (index < 0) return;
  throw new NexusError(
    "context_length_exceeded",
    `Text ${index + 1} of ${counts.length} has ${counts[index]} tokens; at most ${tokensMax} can be read at once. Split it.`,
    { param: "input" },
  );
}

function encode(vector: Float32Array, format: "float" | "base64"): number[] | string {
  if (format === "float") return [...vector];
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
}
