/** One event of a stream, without its framing. `event` is absent where the dialect names none. */
export interface StreamEvent {
  readonly event?: string;
  /** JSON text, or a marker such as `[DONE]`. */
  readonly data: string;
}

/** The events of whole blocks of server-sent events (WHATWG HTML, 9.2.6). Comments and blocks without data vanish. */
export function parseEvents(bytes: Buffer): readonly StreamEvent[] {
  const events: StreamEvent[] = [];
  let name = "";
  let data: string[] = [];
  const flush = () => {
    if (data.length > 0) events.push(name === "" ? { data: data.join("\n") } : { event: name, data: data.join("\n") });
    name = "";
    data = [];
  };
  for (const line of bytes.toString("utf8").split(/\r\n|\n|\r/)) {
    if (line === "") flush();
    else if (line.startsWith("data:")) data.push(fieldValue(line, "data:"));
    else if (line.startsWith("event:")) name = fieldValue(line, "event:");
  }
  flush();
  return events;
}

function fieldValue(line: string, field: string): string {
  const start = line[field.length] === " " ? field.length + 1 : field.length;
  return line.slice(start);
}

/** How events stand in a body: server-sent events, or one JSON document a line. */
export type Framing = "sse" | "ndjson";

/** `Content-Type` of a stream in a framing. */
export const framingTypes: Readonly<Record<Framing, string>> = {
  sse: "text/event-stream; charset=utf-8",
  ndjson: "application/x-ndjson",
};

/** The bytes of one event. Data never holds a line break: JSON escapes them. */
export function encodeEvent({ event, data }: StreamEvent, framing: Framing): string {
  if (framing === "ndjson") return `${data}\n`;
  return event === undefined ? `data: ${data}\n\n` : `event: ${event}\ndata: ${data}\n\n`;
}
