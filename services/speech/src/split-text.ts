/** Longest piece that is spoken at once, in characters: about fifteen seconds. */
const pieceMax = 240;
/** A sentence shorter than this is spoken with the next. */
const pieceMin = 24;

/**
 * Cuts a text where a speaker would breathe: at the ends of sentences, long ones at commas, the longest between words. All
 * pieces together are the text, but for spaces.
 */
export function splitText(text: string): string[] {
  const sentences = [...new Intl.Segmenter("en", { granularity: "sentence" }).segment(text)].map(
    ({ segment }) => segment,
  );
  const pieces: string[] = [];
  let waiting = "";
  for (const sentence of sentences.flatMap(cutLong)) {
    waiting += sentence;
    // The first is never held back: a listener waits for it.
    if (waiting.trim().length < pieceMin && pieces.length > 0) continue;
    pieces.push(waiting);
    waiting = "";
  }
  return [...pieces, waiting].map((piece) => piece.replaceAll(/\s+/g, " ").trim()).filter((piece) => piece !== "");
}

function cutLong(sentence: string): string[] {
  const pieces: string[] = [];
  let rest = sentence;
  while (rest.length > pieceMax) {
    const head = rest.slice(0, pieceMax);
    const comma = Math.max(...[", ", "; ", ": ", " - ", "，", "、"].map((sign) => head.lastIndexOf(sign)));
    const space = head.lastIndexOf(" ");
    const at = comma > pieceMax / 3 ? comma + 1 : space > 0 ? space : endOfCharacter(rest, pieceMax);
    pieces.push(rest.slice(0, at));
    rest = rest.slice(at);
  }
  return [...pieces, rest];
}

/** Not between the halves of a character. */
function endOfCharacter(text: string, at: number): number {
  const code = text.charCodeAt(at - 1);
  return code >= 0xd800 && code < 0xdc00 ? at + 1 : at;
}
