import { encodeEvent, parseEvents, type StreamEvent } from "./stream-events.ts";

/** Of a body that has members: it asks for its stream to be counted. */
const wish = Buffer.from(`"stream_options":{"include_usage":true},`);

/**
 * The body of a streaming chat or completion without `stream_options`, as that of a client who wants to know what was
 * used: one more event at the end says it (https://platform.openai.com/docs/api-reference/chat/create, `stream_options`).
 */
export function askForUsage(body: Buffer): Buffer {
  const at = body.indexOf("{") + 1;
  return Buffer.concat([body.subarray(0, at), wish, body.subarray(at)]);
}

const usageKey = Buffer.from('"usage"');

/** Whole events without the one that only a client gets who has asked for it. All others stay as they are. */
export function withoutUsage(events: Buffer): Buffer {
  if (!events.includes(usageKey)) return events;
  const all = parseEvents(events);
  const kept = all.filter((event) => !isUsageOnly(event));
  return kept.length === all.length ? events : Buffer.from(kept.map((event) => encodeEvent(event, "sse")).join(""));
}

function isUsageOnly({ data }: StreamEvent): boolean {
  if (!data.includes('"usage"')) return false;
  try {
    const { choices, usage } = JSON.parse(data) as { choices?: unknown; usage?: unknown };
    return Array.isArray(choices) && choices.length === 0 && typeof usage === "object" && usage !== null;
  } catch {
    return false;
  }
}
