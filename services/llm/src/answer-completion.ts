import { randomBytes } from "node:crypto";
import type { Token } from "node-llama-cpp";
import { z } from "zod";
import { parseRequest } from "./chat-request.ts";
import { type GenerationEnd, generate } from "./generate.ts";
import { toKnownTokens } from "./known-tokens.ts";
import type { OpenModel } from "./open-model.ts";
import { type SamplingDefaults, samplingFields, stopsOf, toSampling } from "./sampling.ts";
import { refuseLongPrompt, type Usage, usageOf } from "./usage.ts";

const tokenId = z.int().nonnegative();
const unset = (what: string, ...neutral: unknown[]) =>
  z
    .unknown()
    .optional()
    .refine((value) => value === undefined || value === null || neutral.includes(value), {
      error: `${what} is not supported by this service`,
    });

const completionSchema = z.looseObject({
  model: z.string(),
  prompt: z.union([
    z.string(),
    z.array(z.string()).min(1).max(64),
    z.array(tokenId).min(1),
    z.array(z.array(tokenId).min(1)).min(1).max(64),
  ]),
  ...samplingFields,
  echo: z.boolean().nullish(),
  best_of: unset("best_of", 1),
  suffix: unset("suffix", ""),
  logprobs: unset("logprobs"),
  logit_bias: unset("logit_bias"),
});

/** A request for `/v1/completions`, checked. */
export type CompletionRequest = z.output<typeof completionSchema>;

/** @throws NexusError `invalid_request` that names the field at fault. */
export function parseCompletionRequest(body: unknown): CompletionRequest {
  return parseRequest(completionSchema, body);
}

/** OpenAI's own default for completions: a text would otherwise go on to the end of the context. */
const maxTokensDefault = 16;

interface CompletionStep {
  readonly choice: number;
  readonly text: string;
  readonly finishReason: "stop" | "length" | null;
  readonly usage?: Usage;
}

export interface CompletionRun {
  readonly model: OpenModel;
  readonly defaults: SamplingDefaults | undefined;
  readonly request: CompletionRequest;
  readonly signal: AbortSignal;
}

/**
 * Continues each prompt, `n` times each, one after the other.
 * @throws NexusError before the first step when the request cannot be served.
 */
export async function* answerCompletion({
  model,
  defaults,
  request,
  signal,
}: CompletionRun): AsyncGenerator<CompletionStep> {
  const prompts = promptsOf(request).map((prompt) => toTokens(prompt, model));
  for (const { tokens } of prompts) refuseLongPrompt(tokens.length, model.contextTokens, "prompt");
  const count = request.n ?? 1;
  const runs = prompts.flatMap((prompt) => Array.from({ length: count }, () => prompt));
  const ends: GenerationEnd[] = [];
  for (const [choice, { tokens, text }] of runs.entries()) {
    if (request.echo === true) yield { choice, text, finishReason: null };
    for await (const piece of generate(model, {
      prompt: tokens,
      maxTokens: request.max_tokens ?? maxTokensDefault,
      sampling: toSampling(request, defaults, choice),
      stops: stopsOf(request),
      grammar: undefined,
      topLogprobs: undefined,
      signal,
    })) {
      if (piece.end !== undefined) ends.push(piece.end);
      const isLast = piece.end !== undefined && choice === runs.length - 1;
      const promptTokens = prompts.reduce((sum, prompt) => sum + prompt.tokens.length, 0);
      yield {
        choice,
        text: piece.text,
        finishReason: piece.end?.finishReason ?? null,
        ...(isLast ? { usage: usageOf(promptTokens, ends) } : {}),
      };
    }
  }
}

type Prompt = string | readonly number[];

function promptsOf({ prompt }: CompletionRequest): readonly Prompt[] {
  if (typeof prompt === "string") return [prompt];
  return prompt.every((part) => typeof part === "number") ? [prompt] : (prompt as readonly Prompt[]);
}

/** Token ids are taken as they are; a text gets the model's own beginning token. */
function toTokens(prompt: Prompt, opened: OpenModel): { readonly tokens: Token[]; readonly text: string } {
  const { model } = opened;
  const { bos, shouldPrependBosToken } = model.tokens;
  if (typeof prompt === "string") {
    const tokens = model.tokenize(prompt, false);
    const start =
      shouldPrependBosToken || tokens.length === 0 ? [bos ?? model.tokens.eos].filter((id) => id !== null) : [];
    return { tokens: [...start, ...tokens], text: prompt };
  }
  const tokens = toKnownTokens(prompt, opened, "prompt");
  return { tokens, text: model.detokenize(tokens) };
}

function headingOf(request: CompletionRequest) {
  const id = `cmpl-${randomBytes(12).toString("hex")}`;
  return { id, object: "text_completion", created: Math.floor(Date.now() / 1000), model: request.model };
}

/** The chunks of a streamed answer. */
export async function* completionChunks(
  request: CompletionRequest,
  steps: AsyncIterable<CompletionStep>,
): AsyncGenerator<object> {
  const heading = headingOf(request);
  const wantsUsage = request.stream_options?.include_usage === true;
  for await (const { choice: index, text, finishReason, usage } of steps) {
    if (text !== "" || finishReason !== null) {
      const choices = [{ index, text, logprobs: null, finish_reason: finishReason }];
      yield { ...heading, choices, ...(wantsUsage ? { usage: null } : {}) };
    }
    if (usage !== undefined && wantsUsage) yield { ...heading, choices: [], usage };
  }
}

/** The whole answer in one. */
export async function completionAnswer(
  request: CompletionRequest,
  steps: AsyncIterable<CompletionStep>,
): Promise<object> {
  const texts = new Map<number, { text: string; finish_reason: string }>();
  let usage: Usage | undefined;
  for await (const step of steps) {
    const before = texts.get(step.choice)?.text ?? "";
    texts.set(step.choice, { text: before + step.text, finish_reason: step.finishReason ?? "stop" });
    usage = step.usage;
  }
  const choices = [...texts].map(([index, choice]) => ({ index, ...choice, logprobs: null }));
  return { ...headingOf(request), choices, usage };
}
