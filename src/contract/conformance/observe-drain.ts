import { setTimeout as pause } from "node:timers/promises";
import { readinessSchema } from "../health.ts";
import { operationById } from "../operations.ts";
import { parseJson, type ServiceProcess, type Target, Verdict } from "./check.ts";
import { type EventStreamReading, readEventStream } from "./event-stream-reading.ts";
import { type Answer, readAll } from "./probe.ts";
import { talkPath } from "./realtime-checks.ts";
import { bounded, type Closing, openTalk, type TestTalk } from "./realtime-probe.ts";
import { openStream, streamingModel } from "./stream-checks.ts";

/** What was seen of a service between SIGTERM and its end. What could not be looked at is undefined. */
export interface DrainReport {
  /** The answer that was under way at SIGTERM, as it ended. */
  readonly stream: (EventStreamReading & { readonly lastedMs: number }) | undefined;
  /** Whether `/readyz` said `draining`, with 503, while that was under way. */
  readonly saidDraining: boolean;
  /** What a request got that came then. */
  readonly refusal: Answer | undefined;
  /** How a conversation ended that nobody said anything in; `open` when it had not 10 s later. */
  readonly conversation: Closing | "open" | undefined;
  /** Undefined when the process was still there 10 s after its last answer. */
  readonly exit: { readonly code: number | null; readonly afterMs: number } | undefined;
}

/** The answer under way takes about this long, so that something can be seen meanwhile. */
const streamMs = 1_500;
const measuredTokens = 16;
/** Well beyond the 5 s that a service has to clean up. */
const exitMsMax = 10_000;
const lookMs = 50;

/** Sends SIGTERM and looks until the process is gone. Nothing can be asked of the service afterwards. */
export async function observeDrain(target: Target, process: ServiceProcess): Promise<DrainReport> {
  const { signal } = target.probe;
  const work = target.mayGenerate ? await ifPossible(() => beginAnswer(target)) : undefined;
  const talk = await ifPossible(() => beginTalk(target));
  const since = performance.now();
  process.terminate();
  const seen = await lookWhile(target, work);
  const reading = await work?.ended;
  const stream = reading && { ...reading, lastedMs: Math.round(performance.now() - since) };
  const conversation = talk && ((await ifInTime(bounded(talk.closed, exitMsMax, signal, "no end"))) ?? "open");
  const code = await ifInTime(bounded(process.ended, exitMsMax, signal, "no exit"));
  const exit = code === undefined ? undefined : { code, afterMs: Math.round(performance.now() - since) };
  return { stream, ...seen, conversation, exit };
}

interface Work {
  readonly model: string;
  readonly ended: Promise<EventStreamReading>;
}

/** Opens a stream of a few seconds, by the speed of a short one, and waits for its first bytes. */
async function beginAnswer(target: Target): Promise<Work> {
  const { model, endlessTokens } = await streamingModel(target);
  const since = performance.now();
  await readAll(await openStream(target, model, { max_tokens: measuredTokens }));
  const tokenMs = Math.max(0.1, (performance.now() - since) / measuredTokens);
  const tokens = Math.min(endlessTokens, Math.max(measuredTokens, Math.round(streamMs / tokenMs)));
  const answer = await openStream(target, model, { max_tokens: tokens });
  const chunks = answer.chunks[Symbol.asyncIterator]();
  const first = await chunks.next();
  const read = async (): Promise<EventStreamReading> => {
    const rest = await readAll({ chunks: { [Symbol.asyncIterator]: () => chunks } }).catch(() => Buffer.alloc(0));
    return readEventStream(Buffer.concat([first.value ?? Buffer.alloc(0), rest]).toString());
  };
  return { model, ended: read() };
}

async function beginTalk(target: Target): Promise<TestTalk> {
  const talk = await openTalk(target.probe, await talkPath(target));
  await talk.until("session.created");
  return talk;
}

/** Asks whether it is draining, and then for more work, until the answer under way has ended. */
async function lookWhile(
  target: Target,
  work: Work | undefined,
): Promise<Pick<DrainReport, "saidDraining" | "refusal">> {
  let isOver = work === undefined;
  void work?.ended.then(() => {
    isOver = true;
  });
  const { path } = operationById("chat.completions.create");
  const more = { model: work?.model, messages: [{ role: "user", content: "Hi" }], max_tokens: 1 };
  let saidDraining = false;
  let refusal: Answer | undefined;
  while (!isOver && (refusal === undefined || refusal.status === 200)) {
    if (saidDraining) {
      refusal = (await ifInTime(target.probe.ask(path, { body: more, timeoutMs: 1_000 }))) ?? refusal;
    } else {
      const answer = await ifInTime(target.probe.ask("/readyz"));
      const state = readinessSchema.safeParse(parseJson(answer?.text ?? "")).data?.state;
      saidDraining = answer?.status === 503 && state === "draining";
    }
    await pause(lookMs, undefined, { signal: target.probe.signal });
  }
  return { saidDraining, refusal };
}

/** Undefined for what the service does not have. */
async function ifPossible<T>(begin: () => Promise<T>): Promise<T | undefined> {
  try {
    return await begin();
  } catch (error) {
    if (error instanceof Verdict) return undefined;
    throw error;
  }
}

/** Undefined for what fails or does not come: the service is ending. */
async function ifInTime<T>(promise: Promise<T>): Promise<T | undefined> {
  return await promise.catch(() => undefined);
}
