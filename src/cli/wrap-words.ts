/** Breaks a text that comes in pieces between words instead of within them. */
export interface WordWrap {
  /** Holds back the word that may not be complete yet. */
  write(piece: string): void;
  /** Lets the last word out. */
  end(): void;
}

/** Scripts that are written without spaces break anywhere, and their letters are two columns wide. */
const firstWide = 0x2e80;

/**
 * `columns` is the width of a line; what the text itself breaks stays as it is, and so does all that can be seen of it:
 * only spaces that have no place at the end of a line are left out.
 */
export function wrapWords(columns: number, out: (text: string) => void): WordWrap {
  let column = 0;
  let word = "";
  let wordWidth = 0;

  const flush = (): string => {
    const needsLine = column > 0 && column + wordWidth > columns;
    const text = `${needsLine ? "\n" : ""}${word}`;
    const end = (needsLine ? 0 : column) + wordWidth;
    // A word that is longer than a line is broken by the terminal; a line that is full to its last column is not over.
    column = end > columns ? end % columns || columns : end;
    word = "";
    wordWidth = 0;
    return text;
  };
  const take = (letter: string): string => {
    if (letter === "\n") {
      const text = flush();
      column = 0;
      return `${text}\n`;
    }
    if (letter === " " || letter === "\t") {
      const text = flush();
      // After the last column it would be alone on a line of its own, or begin the next one.
      if (column >= columns) return text;
      column += 1;
      return text + letter;
    }
    const isWide = (letter.codePointAt(0) ?? 0) >= firstWide;
    const before = isWide ? flush() : "";
    word += letter;
    wordWidth += isWide ? 2 : 1;
    return isWide ? before + flush() : before;
  };

  return {
    write(piece) {
      let text = "";
      for (const letter of piece) text += take(letter);
      if (text !== "") out(text);
    },
    end() {
      const text = flush();
      if (text !== "") out(text);
    },
  };
}
