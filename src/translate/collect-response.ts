import type { StreamEvent } from "../openai/stream-events.ts";
import { streamKindOf } from "../openai/stream-kinds.ts";
import { isObject, type JsonObject } from "./request-fields.ts";

const { lastEvents } = streamKindOf("responses.create");

/** The final Response object of a whole answer or of all events of a stream; undefined where there is none. */
export function collectResponse(source: Buffer | Iterable<StreamEvent>): JsonObject | undefined {
  if (Buffer.isBuffer(source)) return responseIn(source.toString("utf8"));
  for (const event of source) {
    const response = finalResponse(event);
    if (response !== undefined) return response;
  }
  return undefined;
}

/** The Response object of the event that ends a stream; undefined for all others, which are not even parsed. */
export function finalResponse({ event, data }: StreamEvent): JsonObject | undefined {
  const isLast =
    event === undefined ? lastEvents.some((name) => data.includes(`"${name}"`)) : lastEvents.includes(event);
  return isLast ? responseIn(data) : undefined;
}

function responseIn(text: string): JsonObject | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  if (value.object === "response") return isWhole(value) ? value : undefined;
  const isLast = typeof value.type === "string" && lastEvents.includes(value.type);
  return isLast && isObject(value.response) && isWhole(value.response) ? value.response : undefined;
}

function isWhole({ id, output }: JsonObject): boolean {
  return typeof id === "string" && id !== "" && Array.isArray(output);
}
