import { randomBytes } from "node:crypto";
import { NexusError } from "nexus/base";
import { chatGrammar, chatPrompt } from "./chat-prompt.ts";
import { type ChatRequest, requestedTools } from "./chat-request.ts";
import { type GenerationEnd, generate } from "./generate.ts";
import type { TokenLogprob } from "./logprobs.ts";
import type { OpenModel } from "./open-model.ts";
import { type SamplingDefaults, stopsOf, toSampling } from "./sampling.ts";
import { createToolCallReader, type ToolCall } from "./tool-calls.ts";
import { refuseLongPrompt, type Usage, usageOf } from "./usage.ts";

/** One step of an answer, for one of its choices. */
export interface ChatStep {
  readonly choice: number;
  readonly content: string;
  readonly calls: readonly ToolCall[];
  readonly logprobs: readonly TokenLogprob[];
  /** On a choice's last step. */
  readonly finishReason: "stop" | "length" | "tool_calls" | null;
  /** On the answer's last step. */
  readonly usage?: Usage;
}

export interface ChatRun {
  readonly model: OpenModel;
  readonly defaults: SamplingDefaults | undefined;
  readonly request: ChatRequest;
  readonly signal: AbortSignal;
}

/**
 * Answers a conversation step by step, streaming or not; the choices one after the other, so that each finds the prompt
 * evaluated.
 * @throws NexusError before the first step when the request cannot be served.
 */
export async function* answerChat({ model, defaults, request, signal }: ChatRun): AsyncGenerator<ChatStep> {
  const tools = requestedTools(request);
  const prompt = chatPrompt(request, tools, model.facts, model.model);
  refuseLongPrompt(prompt.length, model.contextTokens, "messages");
  const grammar = chatGrammar(request, tools);
  if (grammar !== undefined && request.logprobs === true) {
    throw new NexusError("invalid_request", "logprobs cannot be had together with tools or a JSON response_format.", {
      param: "logprobs",
    });
  }
  const choices = request.n ?? 1;
  const ends: GenerationEnd[] = [];
  for (let choice = 0; choice < choices; choice++) {
    const reader = tools.choice === "none" ? undefined : createToolCallReader();
    let calls = 0;
    for await (const piece of generate(model, {
      prompt,
      maxTokens: request.max_completion_tokens ?? request.max_tokens,
      sampling: toSampling(request, defaults, choice),
      stops: stopsOf(request),
      grammar,
      topLogprobs: request.logprobs === true ? (request.top_logprobs ?? 0) : undefined,
      signal,
    })) {
      const read = reader?.push(piece.text) ?? { content: piece.text, calls: [] };
      const rest = piece.end === undefined ? undefined : reader?.flush();
      const step = { content: read.content + (rest?.content ?? ""), calls: [...read.calls, ...(rest?.calls ?? [])] };
      calls += step.calls.length;
      if (piece.end !== undefined) ends.push(piece.end);
      const finishReason = finishReasonOf(piece.end, calls);
      const isLast = piece.end !== undefined && choice === choices - 1;
      yield {
        choice,
        ...step,
        logprobs: piece.logprobs,
        finishReason,
        ...(isLast ? { usage: usageOf(prompt.length, ends) } : {}),
      };
    }
  }
}

function finishReasonOf(end: GenerationEnd | undefined, calls: number): ChatStep["finishReason"] {
  if (end === undefined) return null;
  return end.finishReason === "stop" && calls > 0 ? "tool_calls" : end.finishReason;
}

/** What all parts of one answer have in common. */
interface Heading {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

function headingOf(request: ChatRequest): Heading {
  const id = `chatcmpl-${randomBytes(12).toString("hex")}`;
  return { id, created: Math.floor(Date.now() / 1000), model: request.model };
}

/** The chunks of a streamed answer. */
export async function* chatChunks(request: ChatRequest, steps: AsyncIterable<ChatStep>): AsyncGenerator<object> {
  const heading = headingOf(request);
  const wantsUsage = request.stream_options?.include_usage === true;
  const chunk = (choices: readonly object[], usage: Usage | null = null) => ({
    ...heading,
    object: "chat.completion.chunk",
    choices,
    ...(wantsUsage ? { usage } : {}),
  });
  const wantsLogprobs = request.logprobs === true;
  const begun = new Set<number>();
  const callCounts = new Map<number, number>();
  for await (const step of steps) {
    const { choice: index, content, calls, finishReason } = step;
    const logprobs = wantsLogprobs ? { content: step.logprobs } : null;
    const delta = (value: object, end: ChatStep["finishReason"] = null) => ({
      index,
      delta: value,
      logprobs,
      finish_reason: end,
    });
    if (!begun.has(index)) {
      const opening = { role: "assistant", content: calls.length > 0 && content === "" ? null : "" };
      yield chunk([{ ...delta(opening), logprobs: null }]);
    }
    begun.add(index);
    if (content !== "" || (wantsLogprobs && step.logprobs.length > 0)) yield chunk([delta({ content })]);
    for (const call of calls) {
      const position = callCounts.get(index) ?? 0;
      callCounts.set(index, position + 1);
      yield chunk([delta({ tool_calls: [{ index: position, ...call }] })]);
    }
    if (finishReason !== null) yield chunk([{ ...delta({}, finishReason), logprobs: null }]);
    if (step.usage !== undefined && wantsUsage) yield chunk([], step.usage);
  }
}

/** The whole answer in one. */
export async function chatCompletion(request: ChatRequest, steps: AsyncIterable<ChatStep>): Promise<object> {
  const gathered: ChatStep[] = [];
  for await (const step of steps) gathered.push(step);
  const usage = gathered.at(-1)?.usage;
  if (usage === undefined) throw new NexusError("internal_error", "The answer broke off.");
  const choices = [...new Set(gathered.map(({ choice }) => choice))].map((index) => {
    const own = gathered.filter(({ choice }) => choice === index);
    const calls = own.flatMap((step) => step.calls);
    const content = own.map((step) => step.content).join("");
    return {
      index,
      message: {
        role: "assistant",
        content: calls.length > 0 && content === "" ? null : content,
        refusal: null,
        ...(calls.length > 0 ? { tool_calls: calls } : {}),
      },
      logprobs: request.logprobs === true ? { content: own.flatMap((step) => step.logprobs) } : null,
      finish_reason: own.at(-1)?.finishReason ?? "stop",
    };
  });
  return { ...headingOf(request), object: "chat.completion", choices, usage };
}
