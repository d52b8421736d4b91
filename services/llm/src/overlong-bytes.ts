import { type LlamaModel, type Token, TokenBias } from "node-llama-cpp";

/**
 * The tokens that must not follow the last one under a grammar. llama.cpp's grammars see characters and not bytes, and
 * take the long way to write a short one for that character: E0 and then less than A0, or F0 and then less than 90 (RFC
 * 3629, 3). That is no UTF-8, reads as several characters, and so breaks lengths. All else that is no UTF-8 the grammars
 * refuse, as long as they list characters and do not exclude any.
 */
export function biasAgainstOverlong(model: LlamaModel): (last: Token | undefined) => TokenBias {
  const { free, after } = readVocabulary(model);
  return (last) => (last === undefined ? free : (after.get(last) ?? free));
}

interface Vocabulary {
  readonly free: TokenBias;
  /** By tokens that end with a byte after which not every other one may come. */
  readonly after: ReadonlyMap<Token, TokenBias>;
}

const vocabularies = new WeakMap<LlamaModel, Vocabulary>();

/** Looked at once for each model: there may be a quarter of a million tokens. */
function readVocabulary(model: LlamaModel): Vocabulary {
  let vocabulary = vocabularies.get(model);
  if (vocabulary === undefined) {
    vocabulary = toVocabulary(model);
    vocabularies.set(model, vocabulary);
  }
  return vocabulary;
}

function toVocabulary(model: LlamaModel): Vocabulary {
  const texts = model.fileInfo.metadata.tokenizer?.ggml.tokens ?? [];
  const [afterE0, afterF0] = [TokenBias.for(model), TokenBias.for(model)];
  const after = new Map<Token, TokenBias>();
  for (const [index, text] of texts.entries()) {
    const token = index as Token;
    const [first, last] = outerBytes(text);
    if (first >= 0x80 && first < 0xa0) afterE0.set(token, "never");
    if (first >= 0x80 && first < 0x90) afterF0.set(token, "never");
    if (last === 0xe0) after.set(token, afterE0);
    if (last === 0xf0) after.set(token, afterF0);
  }
  return { free: TokenBias.for(model), after };
}

/**
 * The first and the last byte of a token as its model file writes it: `<0xE0>` for a single byte, or one character for
 * each byte as GPT-2 has it, in which printable bytes stand for themselves and the others come after them. -1 where
 * neither can be one of those that are looked for.
 */
function outerBytes(text: string): readonly [first: number, last: number] {
  const single = /^<0x([0-9A-F]{2})>$/.exec(text)?.[1];
  if (single !== undefined) {
    const byte = Number.parseInt(single, 16);
    return [byte, byte];
  }
  return [byteOf(text.charCodeAt(0)), byteOf(text.charCodeAt(text.length - 1))];
}

/** GPT-2's 33 control characters and the blank come first, from 256 on; 0x7f to 0xa0 follow them. */
const firstDeferred = 256 + 33;

function byteOf(character: number): number {
  const deferred = character - firstDeferred + 0x7f;
  if (deferred >= 0x7f && deferred <= 0xa0) return deferred;
  return character === 0xe0 || character === 0xf0 ? character : -1;
}
