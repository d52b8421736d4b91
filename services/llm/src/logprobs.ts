import type { LlamaModel, Token } from "node-llama-cpp";

/** A token of the answer as OpenAI's `logprobs.content[]` has it. */
export interface TokenLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[];
  readonly top_logprobs: readonly Omit<TokenLogprob, "top_logprobs">[];
}

/** The smallest logarithm that is sent: JSON has no infinity. */
const logprobMin = -9999;

/** `probabilities` are the model's own, penalties applied but no temperature, most likely first. */
export function toLogprob(
  model: LlamaModel,
  token: Token,
  probabilities: ReadonlyMap<Token, number>,
  top: number,
): TokenLogprob {
  const describe = (id: Token) => {
    const text = model.detokenize([id], true);
    const logprob = Math.max(logprobMin, Math.log(probabilities.get(id) ?? 0));
    return { token: text, logprob, bytes: [...Buffer.from(text)] };
  };
  const likeliest = [...probabilities.keys().take(top)];
  return { ...describe(token), top_logprobs: likeliest.map(describe) };
}
