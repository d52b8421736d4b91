import { describeError } from "../../base/errors.ts";
import { operationById } from "../operations.ts";
import { chatChunkSchema } from "./answer-shapes.ts";
import { type Check, fail, mustMatch, pass, shortly, skip, type Target, Verdict } from "./check.ts";
import { type EventStreamReading, readEventStream } from "./event-stream-reading.ts";
import { chat, readyModel } from "./operation-checks.ts";
import { generateTimeoutMs, type OpenAnswer, readAll } from "./probe.ts";
import { healthMsMax, median } from "./self-description-checks.ts";

const { path } = operationById("chat.completions.create");

/** A model that streams chats, or the check is skipped. */
async function streamingModel(target: Target) {
  const { metadata, model } = await readyModel(target, "chat.completions.create");
  const endpoint = metadata.endpoints.find(({ operation_id: id }) => id === "chat.completions.create");
  if (endpoint?.streaming !== true) skip("chats are not streamed here");
  return {
    model: model.id,
    slots: Math.min(metadata.capabilities.max_concurrency ?? 1, slotsMax),
    endlessTokens: Math.min(endlessTokensMax, Math.floor((model.context_window ?? 1024) / 2)),
  };
}

/** More streams at once than this prove nothing more and cost more. */
const slotsMax = 8;

const longTask = [{ role: "user", content: "Write a very long story about a lighthouse." }];

async function openStream(target: Target, model: string, fields: object): Promise<OpenAnswer> {
  const body = { model, messages: longTask, stream: true, temperature: 0, ...fields };
  const answer = await target.probe.open(path, { body, timeoutMs: generateTimeoutMs });
  if (answer.status !== 200) {
    fail(`a stream answered ${answer.status}${shortly((await readAll(answer)).toString())}`);
  }
  return answer;
}

async function wholeStream(target: Target, fields: object): Promise<EventStreamReading> {
  const { model } = await streamingModel(target);
  const answer = await openStream(target, model, { max_tokens: 8, ...fields });
  const type = answer.headers.get("content-type") ?? "none";
  if (!type.startsWith("text/event-stream")) fail(`the content type of a stream is ${type}`);
  return readEventStream((await readAll(answer)).toString());
}

export const streamChecks: readonly Check[] = [
  {
    id: "stream.framing",
    title: "A streamed chat is made of chunks in OpenAI's shape and ends with [DONE]",
    generates: true,
    async run(target) {
      const { problem, events, isDone } = await wholeStream(target, {});
      if (problem !== undefined) fail(problem);
      if (!isDone) fail("the stream ends without [DONE]");
      const chunks = events.map((event) => mustMatch(chatChunkSchema, event, "a chunk"));
      if (new Set(chunks.map(({ id }) => id)).size > 1) fail("the chunks of one answer have different ids");
      const finished = chunks.flatMap(({ choices }) => choices).filter(({ finish_reason: reason }) => reason != null);
      if (finished.length !== 1) fail(`${finished.length} chunks have a finish_reason`);
      return pass(`${chunks.length} chunks`);
    },
  },
  {
    id: "stream.usage",
    title: "With stream_options.include_usage the last chunk carries usage and no choice",
    generates: true,
    async run(target) {
      const { events } = await wholeStream(target, { stream_options: { include_usage: true } });
      const last = mustMatch(chatChunkSchema, events.at(-1), "the last chunk");
      if (last.usage == null) fail("the last chunk has no usage");
      if (last.choices.length > 0) fail("the chunk with the usage has choices");
      if (last.usage.completion_tokens === 0) fail("`usage.completion_tokens` is 0");
      return pass(`${last.usage.completion_tokens} tokens`);
    },
  },
  {
    id: "stream.cancel",
    title: "A client that leaves its streams frees their slots for the next request",
    generates: true,
    async run(target) {
      const streaming = await streamingModel(target);
      const { model, slots } = streaming;
      const since = performance.now();
      await chat(target, model, { max_tokens: 1 });
      const usualMs = performance.now() - since;
      await whileStreaming(target, streaming, async () => {});
      const left = performance.now();
      const allowedMs = Math.round(usualMs * 2 + cancelMsMax);
      await chat(target, model, { max_tokens: 1 }, allowedMs).catch((error: unknown) => {
        if (error instanceof Verdict || target.probe.signal.aborted) throw error;
        fail(`the next request had no answer within ${allowedMs} ms: ${describeError(error)}`);
      });
      return pass(`${Math.round(performance.now() - left)} ms after ${slots} abandoned streams`);
    },
  },
  {
    id: "health.under-load",
    title: `GET /health answers within ${healthMsMax} ms while every slot works`,
    generates: true,
    async run(target) {
      const times: number[] = [];
      await whileStreaming(target, await streamingModel(target), async () => {
        for (let round = 0; round < 5; round++) times.push((await target.probe.ask("/health")).durationMs);
      });
      const middle = Math.round(median(times));
      return middle < healthMsMax ? pass(`${middle} ms`) : fail(`${middle} ms, the median of 5`);
    },
  },
];

/** A client's leaving must reach the work within a second; the rest is for slow machines. */
const cancelMsMax = 3_000;
/** More than a CPU makes while a check looks, so that the streams do not end by themselves. */
const endlessTokensMax = 4_096;

/** Fills every slot with a stream, waits for the first bytes of each, does `run`, and leaves them all. */
async function whileStreaming(
  target: Target,
  { model, slots, endlessTokens }: Awaited<ReturnType<typeof streamingModel>>,
  run: () => Promise<void>,
): Promise<void> {
  const opening = Array.from({ length: slots }, () => openStream(target, model, { max_tokens: endlessTokens }));
  const opened = await Promise.allSettled(opening);
  const streams = opened.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  try {
    for (const one of opened) if (one.status === "rejected") throw one.reason;
    await Promise.all(streams.map((stream) => stream.chunks[Symbol.asyncIterator]().next()));
    await run();
  } finally {
    for (const stream of streams) stream.close();
  }
}
