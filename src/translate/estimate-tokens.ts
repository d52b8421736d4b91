/** Code points from `from` on, up to the next row, and the tokens that one of them is worth. */
const scripts: readonly { readonly from: number; readonly tokens: number }[] = [
  { from: 0x80, tokens: 0.6 }, // Latin with accents, signs
  { from: 0x370, tokens: 0.5 }, // Greek, Cyrillic, Armenian, Hebrew, Arabic
  { from: 0x900, tokens: 0.5 }, // scripts of India and South-East Asia
  { from: 0x1100, tokens: 0.8 }, // Hangul letters, Ethiopic, ...
  { from: 0x2000, tokens: 0.8 }, // punctuation, arrows, mathematics
  { from: 0x2e80, tokens: 0.85 }, // Chinese, Japanese, Korean
  { from: 0xfe00, tokens: 0.8 }, // variants, full width
  { from: 0x1_0000, tokens: 2 }, // emoji and what is rarer still
];

/** A word, a number, a row of signs, space, or any other character. */
const pieces = /[A-Z]?[a-z]+|[A-Z]+(?![a-z])| ?[0-9]+|\s+|[!-/:-@[-`{-~]+|./gsu;

/** Longer words are of several tokens. */
const wordCharacters = 7;
/** Tokenizers cut numbers into groups of one to three digits. */
const digits = 3;

/**
 * How many tokens a text is about, without the tokenizer of its model: counted piece by piece, as byte-pair encodings
 * cut before they merge. Measured against the vocabularies o200k, cl100k, Llama 3 and Claude 2: within 25 % of each of them
 * for English, source code, JSON, logs, numbers, hashes and base64. Other languages are much less certain: from
 * 62 % under to 60 % over was seen, as the four differ by a factor of up to three themselves.
 */
export function estimateTokens(text: string): number {
  let tokens = 0;
  for (const [piece] of text.matchAll(pieces)) tokens += tokensOf(piece);
  return Math.ceil(tokens);
}

/** Of a long text this many pieces of this many characters are looked at, evenly spread. */
const samples = 16;
const sampleCharacters = 1_024;

/**
 * The same in a time that does not grow with the text: a long one is taken to be as it is in some places. Where all of a
 * text is alike, it says the same within a few percent.
 */
export function estimateTokensSoon(text: string): number {
  if (text.length <= samples * sampleCharacters) return estimateTokens(text);
  const step = (text.length - sampleCharacters) / (samples - 1);
  let tokens = 0;
  for (let sample = 0; sample < samples; sample++) {
    const from = Math.round(sample * step);
    tokens += estimateTokens(text.slice(from, from + sampleCharacters));
  }
  return Math.ceil((tokens / (samples * sampleCharacters)) * text.length);
}

function tokensOf(piece: string): number {
  const code = piece.codePointAt(0) ?? 0;
  if (code >= 0x80) return scriptTokens(code);
  if (/^[A-Za-z]/.test(piece)) return Math.ceil(piece.length / wordCharacters);
  // A space before a number stands for itself; one before a word belongs to it.
  if (/^ [0-9]/.test(piece)) return 1 + Math.ceil((piece.length - 1) / digits);
  if (/^[0-9]/.test(piece)) return Math.ceil(piece.length / digits);
  if (/^\s/.test(piece)) return piece === " " ? 0 : 1;
  return Math.ceil(piece.length / 2.5);
}

function scriptTokens(code: number): number {
  return scripts.findLast(({ from }) => code >= from)?.tokens ?? 1;
}
