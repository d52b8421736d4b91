import type { StreamEvent } from "../openai/stream-events.ts";
import { isObject, type JsonObject } from "./request-fields.ts";
import type { Translation } from "./translation.ts";

/** Events that carry the whole response as it is so far. */
const snapshot = /"type"\s*:\s*"response\.(?:created|queued|in_progress|completed|incomplete|failed)"/;

/**
 * The way back from a backend that speaks Responses itself. It was asked for an answer that builds on nothing and is not
 * stored, and says so; the client asked for what `request` says. Everything else goes out as it came.
 */
export function asAsked(request: JsonObject, body: Buffer): Translation {
  const said = { previous_response_id: request.previous_response_id ?? null, store: request.store ?? true };
  const correct = (text: string) => correctText(text, said);
  return {
    body,
    whole: (answer) => Buffer.from(correct(answer.toString("utf8"))),
    stream: () => ({
      push: (event) => [correctEvent(event, correct)],
      end: () => [],
    }),
  };
}

function correctEvent(event: StreamEvent, correct: (text: string) => string): StreamEvent {
  return snapshot.test(event.data) ? { ...event, data: correct(event.data) } : event;
}

/** A response, or an event with one; what is neither stays as it is. */
function correctText(text: string, said: JsonObject): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return text;
  }
  if (!isObject(value)) return text;
  if (value.object === "response") return JSON.stringify({ ...value, ...said });
  return isObject(value.response) ? JSON.stringify({ ...value, response: { ...value.response, ...said } }) : text;
}
