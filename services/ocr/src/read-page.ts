import { z } from "zod";

/** A rectangle in pixels of the page as it was read, from its upper left corner; named as in Mistral's API. */
export interface Box {
  readonly top_left_x: number;
  readonly top_left_y: number;
  readonly bottom_right_x: number;
  readonly bottom_right_y: number;
}

/** A piece of text and where it stands. */
export interface PlacedText extends Box {
  readonly text: string;
  /** 0 to 1, as the engine judges itself. */
  readonly confidence: number;
}

export interface TextLine extends PlacedText {
  readonly words: readonly PlacedText[];
}

/** What was read off a page. */
export interface PageText {
  /** Paragraphs with an empty line between them. Characters that mean something in Markdown are left as they are. */
  readonly markdown: string;
  readonly lines: readonly TextLine[];
}

const box = z.object({ x0: z.number(), y0: z.number(), x1: z.number(), y1: z.number() });
const placed = z.object({ bbox: box, text: z.string(), confidence: z.number() });
const line = placed.extend({ words: z.array(placed).nullish() });
const recognisedSchema = z.object({
  blocks: z.array(z.object({ paragraphs: z.array(z.object({ lines: z.array(line).nullish() })).nullish() })).nullish(),
});

/** Orders what the engine says of a page: blocks of paragraphs of lines of words. */
export function toPageText(recognised: unknown): PageText {
  const { blocks } = recognisedSchema.parse(recognised);
  const paragraphs = (blocks ?? []).flatMap((block) =>
    (block.paragraphs ?? []).map((paragraph) => (paragraph.lines ?? []).map(toLine).filter(({ text }) => text !== "")),
  );
  return {
    markdown: paragraphs
      .filter((lines) => lines.length > 0)
      .map((lines) => lines.map(({ text }) => text).join("\n"))
      .join("\n\n"),
    lines: paragraphs.flat(),
  };
}

function toLine(found: z.output<typeof line>): TextLine {
  return { ...toPlaced(found), words: (found.words ?? []).map(toPlaced) };
}

function toPlaced({ text, confidence, bbox }: z.output<typeof placed>): PlacedText {
  return {
    text: text.trim(),
    confidence: Math.min(1, Math.max(0, Math.round(confidence) / 100)),
    top_left_x: bbox.x0,
    top_left_y: bbox.y0,
    bottom_right_x: bbox.x1,
    bottom_right_y: bbox.y1,
  };
}
