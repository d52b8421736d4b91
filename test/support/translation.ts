import type { StreamEvent } from "../../src/openai/stream-events.ts";
import type { Translation, TranslationContext, Translator } from "../../src/translate/translation.ts";
import { type ChatSaying, chatChunksOf } from "./chat-sayings.ts";

/** When the requests of these tests come. */
export const requestedAt = Date.parse("2026-01-01T00:00:00Z") / 1_000;

/** A world in which every id has a number and time moves by `stepMs` with each look at it. */
export function makeContext(options: { stepMs?: number; models?: readonly string[] } = {}): TranslationContext {
  const { stepMs = 0, models } = options;
  let ids = 0;
  let elapsedMs = 0;
  return {
    newId: (prefix) => `${prefix}_${++ids}`,
    nowSeconds: requestedAt,
    elapsedMs() {
      elapsedMs += stepMs;
      return elapsedMs;
    },
    hasModel: (name) => models === undefined || models.includes(name),
  };
}

/** The request as the backend gets it. */
export function translated(translator: Translator, request: object): Record<string, unknown> {
  const { body } = translator.translate(request as Record<string, unknown>, makeContext());
  return JSON.parse(body.toString("utf8"));
}

/** Pushes documents and the end marker through a translation's stream. */
export function streamThrough(translation: Translation, documents: readonly object[]): readonly StreamEvent[] {
  const stream = translation.stream();
  const events = documents.flatMap((document) => stream.push({ data: JSON.stringify(document) }));
  return [...events, ...stream.push({ data: "[DONE]" }), ...stream.end()];
}

/** A whole answer through a translation. */
export function wholeThrough(translation: Translation, answer: object): Record<string, unknown> {
  return JSON.parse(translation.whole(Buffer.from(JSON.stringify(answer))).toString("utf8"));
}

/** A saying as a stream, cut into pieces as long as these numbers say. */
export function cutAnywhere(saying: ChatSaying, lengths: Iterator<number, number>): readonly object[] {
  return chatChunksOf(saying, () => lengths.next().value);
}
