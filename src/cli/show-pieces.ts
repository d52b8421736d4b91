import type { ChatPiece } from "./chat-client.ts";
import { printable, type Terminal } from "./terminal.ts";

/** Writes an answer as it comes. On a terminal it can't do more than show text; a pipe gets it as it is. */
export function showPieces(terminal: Terminal): (piece: ChatPiece) => void {
  return ({ kind, text }) => {
    const safe = terminal.isInteractive ? printable(text, { keepLines: true }) : text;
    if (kind === "answer") terminal.write(safe);
    else if (terminal.isInteractive) terminal.write(terminal.paint("dim", safe));
  };
}
