/** Finds stop texts in a stream whose pieces may cut them anywhere. */
export interface StopMatcher {
  /** The text that is safe to send. Once a stop text has been reached, it and everything after it is dropped. */
  push(piece: string): { readonly text: string; readonly isStopped: boolean };
  /** What was held back in case a stop text follows. */
  flush(): string;
}

export function createStopMatcher(stops: readonly string[]): StopMatcher {
  let held = "";
  let isStopped = false;
  return {
    push(piece) {
      if (isStopped) return { text: "", isStopped };
      held += piece;
      const found = stops.map((stop) => held.indexOf(stop)).filter((index) => index >= 0);
      isStopped = found.length > 0;
      const sure = isStopped ? Math.min(...found) : held.length - heldLength(held, stops);
      const text = held.slice(0, sure);
      held = isStopped ? "" : held.slice(sure);
      return { text, isStopped };
    },
    flush() {
      const text = held;
      held = "";
      return text;
    },
  };
}

/** Length of the longest end of `text` with which a stop text begins. */
function heldLength(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
