import { describeError } from "../../base/errors.ts";
import { operationById } from "../operations.ts";
import { chatChunkSchema } from "./answer-shapes.ts";
import { type Check, fail, mustMatch, pass, shortly, skip, type Target, Verdict } from "./check.ts";
import { type EventStreamReading, readEventStream } from "./event-stream-reading.ts";
import { chat, readyModel } from "./operation-checks.ts";
import { generateTimeoutMs, type OpenAnswer, readAll } from "./probe.ts";
import { bounded } from "./realtime-probe.ts";
import { healthMs, healthMsMax } from "./self-description-checks.ts";
import { cancelMsMax, mustStopWorking, readSlotsActive, slotsBefore, slotsGauge } from "./work-gauge.ts";

const { path } = operationById("chat.completions.create");

/** A model that streams chats, or the check is skipped. */
export async function streamingModel(target: Target) {
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
export const slotsMax = 8;
/** More than a CPU makes while a check looks, so that the streams do not end by themselves. */
const endlessTokensMax = 4_096;

const longTask = [{ role: "user", content: "Write a very long story about a lighthouse." }];

export async function openStream(target: Target, model: string, fields: object): Promise<OpenAnswer> {
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
    id: "stream.concurrent",
    title: "As many streams run at once as max_concurrency says",
    generates: true,
    run: (target) => whileStreaming(target, async ({ slots }) => pass(`${slots} streams`), fail),
  },
  {
    id: "stream.counted",
    title: `While streams run, ${slotsGauge} counts them`,
    generates: true,
    async run(target) {
      const before = (await slotsBefore(target)) ?? skip("there is no such gauge");
      return await whileStreaming(target, async ({ slots }) => {
        const active = (await readSlotsActive(target)) ?? 0;
        return active >= before + slots ? pass(`${active}`) : fail(`it says ${active} while ${slots} streams run`);
      });
    },
  },
  {
    id: "stream.cancel",
    title: "A client that leaves its streams ends their work within a second",
    generates: true,
    async run(target) {
      const { model } = await streamingModel(target);
      const since = performance.now();
      await chat(target, model, { max_tokens: 1 });
      const usualMs = performance.now() - since;
      const before = (await slotsBefore(target)) ?? 0;
      const slots = await whileStreaming(target, async (streaming) => streaming.slots);
      await mustStopWorking(target, before);
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
      const idle = await healthMs(target);
      if (idle >= healthMsMax) skip(`${idle} ms without any work`);
      const busy = await whileStreaming(target, async () => await healthMs(target));
      return busy < healthMsMax ? pass(`${busy} ms`) : fail(`${busy} ms, the median of 5`);
    },
  },
];

/** Whoever waits for the end of another stream begins later than this. */
const beginMsMax = 3_000;

/** Services whose streams were seen to wait for each other: that takes long to see, and is seen once. */
const serial = new WeakSet<Target>();

type Streaming = Awaited<ReturnType<typeof streamingModel>>;

/**
 * Fills every slot with a stream, does `run` once bytes of each have come, and leaves them all. Skips when they do not all
 * run at once, which is a rule of its own.
 */
async function whileStreaming<T>(
  target: Target,
  run: (streaming: Streaming) => Promise<T>,
  refuse: (reason: string) => never = skip,
): Promise<T> {
  const streaming = await streamingModel(target);
  if (serial.has(target)) refuse("not as many streams run at once as max_concurrency says");
  const { model, slots, endlessTokens } = streaming;
  const answers: OpenAnswer[] = [];
  let isOver = false;
  const begin = async (): Promise<number> => {
    const since = performance.now();
    const answer = await openStream(target, model, { max_tokens: endlessTokens });
    answers.push(answer);
    if (isOver) answer.close();
    await answer.chunks[Symbol.asyncIterator]().next();
    return performance.now() - since;
  };
  try {
    const firstMs = await begin();
    const allowedMs = Math.round(beginMsMax + firstMs * slots * 2);
    const others = Promise.all(Array.from({ length: slots - 1 }, begin));
    await bounded(others, allowedMs, target.probe.signal, `${slots} streams do not all begin`).catch(
      (error: unknown) => {
        if (error instanceof Verdict || target.probe.signal.aborted) throw error;
        refuse(describeError(error));
      },
    );
    return await run(streaming);
  } finally {
    isOver = true;
    for (const answer of answers) answer.close();
  }
}
