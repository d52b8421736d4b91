import type { ChatPiece } from "./chat-client.ts";
import { printable, type Terminal } from "./terminal.ts";
import { wrapWords } from "./wrap-words.ts";

/** Shows an answer as it comes. */
export interface PieceView {
  show(piece: ChatPiece): void;
  /** The answer is complete, or broke off. */
  end(): void;
}

/**
 * On a terminal, text breaks between words, can't do more than be shown, and reasoning is set apart. A pipe gets the
 * answer as it is, and no reasoning.
 */
export function createPieceView(terminal: Terminal): PieceView {
  if (!terminal.isInteractive) {
    return { show: ({ kind, text }) => kind === "answer" && terminal.write(text), end: () => {} };
  }
  let kind: ChatPiece["kind"] = "answer";
  const wrap = wrapWords(terminal.columns, (text) =>
    terminal.write(kind === "reasoning" ? terminal.paint("dim", text) : text),
  );
  return {
    show(piece) {
      if (piece.kind !== kind) {
        wrap.write("\n\n");
        kind = piece.kind;
      }
      wrap.write(printable(piece.text, { keepLines: true }));
    },
    end: () => wrap.end(),
  };
}
