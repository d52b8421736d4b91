import { NexusError } from "nexus/base";
import type { GenerationEnd } from "./generate.ts";

/** Tokens by the model's own tokenizer, as OpenAI's API has them. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

/** The prompt counts once, however many choices it has. */
export function usageOf(promptTokens: number, ends: readonly GenerationEnd[]): Usage {
  const completionTokens = ends.reduce((sum, end) => sum + end.completionTokens, 0);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: ends[0]?.cachedTokens ?? 0 },
  };
}

/** @throws NexusError `context_length_exceeded` when the prompt leaves no room for a single token. */
export function refuseLongPrompt(promptTokens: number, contextTokens: number, param: string): void {
  if (promptTokens < contextTokens) return;
  throw new NexusError(
    "context_length_exceeded",
    `The prompt has ${promptTokens} tokens, and the context holds ${contextTokens} with the answer. Shorten it.`,
    { param },
  );
}
