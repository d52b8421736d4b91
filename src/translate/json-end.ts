/** Follows a JSON object that comes in pieces and knows when it is complete. Does not check what it is made of. */
export class JsonEnd {
  #depth = 0;
  #inString = false;
  #escaped = false;
  #begun = false;

  /** Whether an object has begun and ended. */
  get isComplete(): boolean {
    return this.#begun && this.#depth === 0;
  }

  push(text: string): void {
    for (const letter of text) {
      if (this.#inString) this.#inText(letter);
      else if (letter === '"') this.#inString = true;
      else if (letter === "{" || letter === "[") {
        this.#depth += 1;
        this.#begun = true;
      } else if (letter === "}" || letter === "]") this.#depth -= 1;
    }
  }

  #inText(letter: string): void {
    if (this.#escaped) this.#escaped = false;
    else if (letter === "\\") this.#escaped = true;
    else if (letter === '"') this.#inString = false;
  }
}
