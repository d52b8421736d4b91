/** A whole event stream, taken apart. */
export interface EventStreamReading {
  /** The JSON of every `data:` event before `[DONE]`. */
  readonly events: readonly unknown[];
  /** The name in each one's `event:` line; undefined where there is none. */
  readonly names: readonly (string | undefined)[];
  readonly isDone: boolean;
  /** The first thing that is wrong with it. */
  readonly problem: string | undefined;
}

/** Reads what a client of OpenAI's API expects: `data:` events of JSON, comments between them, `[DONE]` at the end. */
export function readEventStream(text: string): EventStreamReading {
  const events: unknown[] = [];
  const names: (string | undefined)[] = [];
  let isDone = false;
  let problem: string | undefined;
  const note = (what: string): void => {
    problem ??= what;
  };
  const blocks = text.replaceAll(/\r\n?/g, "\n").split("\n\n");
  if (blocks.pop() !== "") note("the stream ends in the middle of an event");
  for (const block of blocks) {
    const lines = block.split("\n").filter((line) => !line.startsWith(":"));
    const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).replace(/^ /, ""));
    if (lines.includes("event: error")) note(`an error event came: ${data.join(" ").slice(0, 160)}`);
    if (data.length === 0) continue;
    if (isDone) note("there is an event after [DONE]");
    const whole = data.join("\n");
    if (whole === "[DONE]") {
      isDone = true;
      continue;
    }
    try {
      events.push(JSON.parse(whole));
      names.push(
        lines
          .find((line) => line.startsWith("event:"))
          ?.slice(6)
          .trim(),
      );
    } catch {
      note(`an event is no JSON: ${whole.slice(0, 80)}`);
    }
  }
  return { events, names, isDone, problem };
}
