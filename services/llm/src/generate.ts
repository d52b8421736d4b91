import { type LlamaContextSequence, LlamaGrammarEvaluationState, type Token } from "node-llama-cpp";
import { chooseToken, seededNumbers } from "./choose-token.ts";
import { type TokenLogprob, toLogprob } from "./logprobs.ts";
import type { OpenModel } from "./open-model.ts";
import { biasAgainstOverlong } from "./overlong-bytes.ts";
import type { Sampling } from "./sampling.ts";
import { createStopMatcher } from "./stop-matcher.ts";
import { createTokenText } from "./token-text.ts";

export interface GenerationRequest {
  /** Shorter than the context: `refuseLongPrompt` has seen to it. */
  readonly prompt: readonly Token[];
  /** Undefined: as many as fit. */
  readonly maxTokens: number | undefined;
  readonly sampling: Sampling;
  readonly stops: readonly string[];
  /** GBNF that the whole answer must follow. */
  readonly grammar: string | undefined;
  /** Alternatives to each token to report, never together with a grammar; undefined reports nothing. */
  readonly topLogprobs: number | undefined;
  readonly signal: AbortSignal;
}

export interface GenerationEnd {
  /** `length`: the limit that was asked for, or the end of the context. */
  readonly finishReason: "stop" | "length";
  /** Prompt tokens that did not have to be evaluated again. */
  readonly cachedTokens: number;
  /** Every token that the model produced, its end-of-turn token included. */
  readonly completionTokens: number;
}

export interface GenerationPiece {
  readonly text: string;
  readonly logprobs: readonly TokenLogprob[];
  /** On the last piece, and only there. */
  readonly end?: GenerationEnd;
}

/** Prompt tokens evaluated between two looks at the signal: under a second on one slow core. */
const promptChunk = 128;

/**
 * Evaluates the prompt and generates token by token. Stops within one token (or one chunk of the prompt) when the
 * signal aborts, and throws its reason. Never shifts the context: at its end the answer ends with `length`.
 */
export async function* generate(model: OpenModel, request: GenerationRequest): AsyncGenerator<GenerationPiece> {
  const { sequence, release } = model.takeSequence(request.prompt);
  try {
    const { rest, cachedTokens } = await evaluatePrompt(sequence, request);
    const limit = Math.min(request.maxTokens ?? Number.POSITIVE_INFINITY, model.contextTokens - request.prompt.length);
    yield* generateTokens(model, sequence, { ...request, rest, cachedTokens, limit });
  } catch (error) {
    // What llama.cpp holds of this sequence is not known after a failure; after an abort it is.
    if (!request.signal.aborted) await sequence.clearHistory();
    throw error;
  } finally {
    release();
  }
}

async function evaluatePrompt(sequence: LlamaContextSequence, { prompt, signal }: GenerationRequest) {
  // The last token is always evaluated: the first prediction comes from it.
  await sequence.adaptStateToTokens(prompt.slice(0, -1), false);
  const cachedTokens = sequence.nextTokenIndex;
  let done = cachedTokens;
  for (; prompt.length - done > promptChunk; done += promptChunk) {
    signal.throwIfAborted();
    await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(done, done + promptChunk));
  }
  signal.throwIfAborted();
  return { rest: prompt.slice(done), cachedTokens };
}

interface TokenRun extends GenerationRequest {
  readonly rest: Token[];
  readonly cachedTokens: number;
  readonly limit: number;
}

async function* generateTokens(
  open: OpenModel,
  sequence: LlamaContextSequence,
  run: TokenRun,
): AsyncGenerator<GenerationPiece> {
  const text = createTokenText(open.model);
  const stops = createStopMatcher(run.stops);
  const generated: Token[] = [];
  let logprobs: TokenLogprob[] = [];
  const last = (head: string, finishReason: "stop" | "length"): GenerationPiece => {
    const tail = stops.push(text.flush());
    return {
      text: head + tail.text + stops.flush(),
      logprobs,
      end: {
        finishReason: tail.isStopped ? "stop" : finishReason,
        cachedTokens: run.cachedTokens,
        completionTokens: generated.length,
      },
    };
  };
  for await (const { token, logprob } of sampledTokens(open, sequence, run, generated)) {
    run.signal.throwIfAborted();
    generated.push(token);
    if (open.model.isEogToken(token)) return yield last("", "stop");
    if (logprob !== undefined) logprobs.push(logprob);
    const pushed = stops.push(text.push(token));
    if (pushed.isStopped) return yield last(pushed.text, "stop");
    if (generated.length >= run.limit) return yield last(pushed.text, "length");
    if (pushed.text === "") continue;
    yield { text: pushed.text, logprobs };
    logprobs = [];
  }
}

interface SampledToken {
  readonly token: Token;
  readonly logprob: TokenLogprob | undefined;
}

/** Tokens as llama.cpp chooses them; with log probabilities, as this process chooses from the whole distribution. */
async function* sampledTokens(
  open: OpenModel,
  sequence: LlamaContextSequence,
  run: TokenRun,
  generated: readonly Token[],
): AsyncGenerator<SampledToken> {
  const { topLogprobs, sampling } = run;
  const options = await evaluateOptions(open, run, generated);
  if (topLogprobs === undefined) {
    for await (const token of sequence.evaluate(run.rest, options)) yield { token, logprob: undefined };
    return;
  }
  const random = seededNumbers(sampling.seed);
  const evaluation = sequence.evaluateWithMetadata(run.rest, { probabilities: true }, { ...options, temperature: 0 });
  try {
    for (let next = await evaluation.next(); next.done !== true; ) {
      const { probabilities } = next.value;
      const token = chooseToken(probabilities, sampling, random);
      yield { token, logprob: toLogprob(open.model, token, probabilities, topLogprobs) };
      next = await evaluation.next(token);
    }
  } finally {
    await evaluation.return();
  }
}

async function grammarOptions({ llama, model }: OpenModel, grammar: string, generated: readonly Token[]) {
  const compiled = await llama.createGrammar({ grammar });
  const biasAfter = biasAgainstOverlong(model);
  return {
    grammarEvaluationState: new LlamaGrammarEvaluationState({ model, grammar: compiled }),
    tokenBias: () => biasAfter(generated.at(-1)),
  };
}

/** Penalties look at this many of the newest tokens. */
const penaltyTokens = 1024;

async function evaluateOptions(open: OpenModel, { sampling, grammar }: TokenRun, generated: readonly Token[]) {
  const { frequencyPenalty, presencePenalty, ...chances } = sampling;
  const hasPenalty = frequencyPenalty !== 0 || presencePenalty !== 0;
  return {
    ...chances,
    yieldEogToken: true,
    ...(grammar === undefined ? {} : await grammarOptions(open, grammar, generated)),
    ...(hasPenalty
      ? {
          repeatPenalty: {
            punishTokens: () => generated.slice(-penaltyTokens),
            maxPunishTokens: penaltyTokens,
            penalty: 1,
            frequencyPenalty,
            presencePenalty,
          },
        }
      : {}),
  };
}
