import type { RoutedOperationId } from "../operations.ts";
import { type TypedEvent, typedEventSchema } from "./api-shapes.ts";
import { fail, mustMatch, shortly, skip, type Target } from "./check.ts";
import { readEventStream } from "./event-stream-reading.ts";
import { readyModel } from "./operation-checks.ts";
import { generateTimeoutMs, readAll } from "./probe.ts";

/** A model for an operation that is streamed here, or the check is skipped. */
export async function streamingModelFor(
  target: Target,
  id: RoutedOperationId,
): Promise<{ model: string; path: string }> {
  const { metadata, model, path } = await readyModel(target, id);
  const endpoint = metadata.endpoints.find(({ operation_id }) => operation_id === id);
  if (endpoint?.streaming !== true) skip(`${id} is not streamed here`);
  return { model: model.id, path };
}

/**
 * A whole stream of events that say what they are. Fails unless it is one, unless its last event is one of `last`, and
 * when events are named differently than their `type`.
 */
export async function typedStream(
  target: Target,
  path: string,
  body: object,
  last: readonly string[],
): Promise<readonly TypedEvent[]> {
  const answer = await target.probe.open(path, { method: "POST", body, timeoutMs: generateTimeoutMs });
  const text = (await readAll(answer)).toString("utf8");
  if (answer.status !== 200) fail(`a stream answered ${answer.status}${shortly(text)}`);
  const type = answer.headers.get("content-type") ?? "none";
  if (!type.startsWith("text/event-stream")) fail(`the content type of a stream is ${type}`);
  const { events, names, problem } = readEventStream(text);
  if (problem !== undefined) fail(problem);
  const typed = events.map((event) => mustMatch(typedEventSchema, event, "an event"));
  const misnamed = typed.find((event, index) => names[index] !== undefined && names[index] !== event.type);
  if (misnamed !== undefined) fail(`an event of type ${misnamed.type} has another name`);
  const end = typed.at(-1)?.type ?? "nothing";
  if (!last.includes(end)) fail(`the stream ends with ${end} instead of ${last.join(" or ")}`);
  return typed;
}

/** What the events of one type carry under `field`, put together. */
export function joined(events: readonly TypedEvent[], type: string, field: string): string {
  return events.flatMap((event) => (event.type === type ? [String(event[field])] : [])).join("");
}
