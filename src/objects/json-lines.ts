import { isUtf8 } from "node:buffer";

/** One line of a file; `text` is undefined when it is too long, or no UTF-8. */
export interface Line {
  /** From 1. */
  readonly number: number;
  readonly text: string | undefined;
}

const newline = 0x0a;

/** The lines of a file that are not empty. Holds no more than one of them, and no more of it than `bytesMax`. */
export async function* readLines(source: AsyncIterable<Buffer>, bytesMax: number): AsyncGenerator<Line> {
  let number = 1;
  let held: Buffer[] = [];
  let heldBytes = 0;
  const take = (): Line | undefined => {
    const bytes = Buffer.concat(held);
    const isWhole = heldBytes <= bytesMax && isUtf8(bytes);
    const line = { number: number++, text: isWhole ? bytes.toString("utf8") : undefined };
    const isEmpty = heldBytes === 0 || line.text?.trim() === "";
    held = [];
    heldBytes = 0;
    return isEmpty ? undefined : line;
  };
  const hold = (piece: Buffer) => {
    heldBytes += piece.length;
    if (heldBytes <= bytesMax) held.push(piece);
    else held = [];
  };
  for await (const chunk of source) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      hold(chunk.subarray(start, end));
      start = end + 1;
      const line = take();
      if (line !== undefined) yield line;
    }
    hold(chunk.subarray(start));
  }
  const last = take();
  if (last !== undefined) yield last;
}
