import type { LlamaModel, Token } from "node-llama-cpp";

/** Turns tokens into text as they come; a character that spans tokens comes out whole. */
export interface TokenText {
  push(token: Token): string;
  /** What is left, without a character that the end cut off. */
  flush(): string;
}

/** Tokens that one character may span; beyond it, broken bytes are what the model meant. */
const spanMax = 8;
/** Enough for a tokenizer to know whether a word goes on. */
const lookBack = 4;

export function createTokenText(model: Pick<LlamaModel, "detokenize">): TokenText {
  let pending: Token[] = [];
  let before: Token[] = [];
  const take = (text: string): string => {
    before = [...before, ...pending].slice(-lookBack);
    pending = [];
    return text;
  };
  return {
    push(token) {
      pending.push(token);
      const text = model.detokenize(pending, false, before);
      return text.endsWith("\uFFFD") && pending.length < spanMax ? "" : take(text);
    },
    flush: () => (pending.length === 0 ? "" : take(model.detokenize(pending, false, before).replace(/\uFFFD+$/, ""))),
  };
}
