import { setTimeout as pause } from "node:timers/promises";
import { describeError } from "../../base/errors.ts";
import { readinessSchema } from "../health.ts";
import { operationById, type RoutedOperationId } from "../operations.ts";
import { parseJson, type ServiceProcess, shortly, type Target, Verdict } from "./check.ts";
import { readEventStream } from "./event-stream-reading.ts";
import { readyModel } from "./operation-checks.ts";
import { type Answer, generateTimeoutMs, readAll } from "./probe.ts";
import { talkPath } from "./realtime-checks.ts";
import { bounded, type Closing, openTalk, type TestTalk } from "./realtime-probe.ts";
import { form, samplePicture, sampleSound } from "./samples.ts";
import { openStream, streamingModel } from "./stream-checks.ts";
import { seenWorking, slotsBefore } from "./work-gauge.ts";

/** What was seen of a service between SIGTERM and its end. What could not be looked at is undefined. */
export interface DrainReport {
  /** The answer that was under way at SIGTERM, as it ended. */
  readonly answer: (Ended & { readonly lastedMs: number }) | undefined;
  /** Whether `/readyz` said `draining`, with 503, while that was under way. */
  readonly saidDraining: boolean;
  /** What a request got that came then. */
  readonly refusal: Answer | undefined;
  /** How a conversation ended that nobody said anything in; `open` when it had not 10 s later. */
  readonly conversation: Closing | "open" | undefined;
  /** Undefined when the process was still there 10 s after its last answer. */
  readonly exit: { readonly code: number | null; readonly afterMs: number } | undefined;
}

/** How an answer ended: `said` is what came, or what was wrong with it. */
interface Ended {
  readonly isWhole: boolean;
  readonly said: string;
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
  const work = target.mayGenerate ? await ifPossible(() => beginWork(target)) : undefined;
  const talk = await ifPossible(() => beginTalk(target));
  const since = performance.now();
  process.terminate();
  const seen = await lookWhile(target, work);
  const ended = await work?.ended;
  const answer = ended && { ...ended, lastedMs: Math.round(performance.now() - since) };
  const conversation = talk && ((await ifInTime(bounded(talk.closed, exitMsMax, signal, "no end"))) ?? "open");
  const code = await ifInTime(bounded(process.ended, exitMsMax, signal, "no exit"));
  const exit = code === undefined ? undefined : { code, afterMs: Math.round(performance.now() - since) };
  return { answer, ...seen, conversation, exit };
}

interface Work {
  readonly path: string;
  /** Asks for more of the kind. */
  readonly more: object;
  readonly ended: Promise<Ended>;
}

/** A streamed chat where there are any, as its length can be chosen; else what takes a moment anywhere. */
async function beginWork(target: Target): Promise<Work | undefined> {
  const stream = await ifPossible(() => beginStream(target));
  if (stream !== undefined) return stream;
  for (const [id, fields] of momentsOfWork) {
    const work = await ifPossible(() => beginMoment(target, id, fields));
    if (work !== undefined) return work;
  }
  return undefined;
}

/** Opens a stream of a few seconds, by the speed of a short one, and waits for its first bytes. */
async function beginStream(target: Target): Promise<Work> {
  const { model, endlessTokens } = await streamingModel(target);
  const since = performance.now();
  await readAll(await openStream(target, model, { max_tokens: measuredTokens }));
  const tokenMs = Math.max(0.1, (performance.now() - since) / measuredTokens);
  const tokens = Math.min(endlessTokens, Math.max(measuredTokens, Math.round(streamMs / tokenMs)));
  const answer = await openStream(target, model, { max_tokens: tokens });
  const chunks = answer.chunks[Symbol.asyncIterator]();
  const first = await chunks.next();
  const read = async (): Promise<Ended> => {
    const rest = await readAll({ chunks: { [Symbol.asyncIterator]: () => chunks } }).catch(() => Buffer.alloc(0));
    const { problem, isDone, events } = readEventStream(
      Buffer.concat([first.value ?? Buffer.alloc(0), rest]).toString(),
    );
    const said = problem ?? (isDone ? `${events.length} chunks` : "the stream ends without [DONE]");
    return { isWhole: problem === undefined && isDone, said };
  };
  const more = { model, messages: [{ role: "user", content: "Hi" }], max_tokens: 1 };
  return { path: operationById("chat.completions.create").path, more, ended: read() };
}

type Fields = Readonly<Record<string, unknown>>;

const sentence = "The quick brown fox jumps over the lazy dog.";
const texts = Array.from({ length: 64 }, (_, index) => `${index} ${sentence}`);
const picture = `data:image/png;base64,${samplePicture().toString("base64")}`;

/** Work of every domain that ends soon: a service does not wait for ever for an answer that is under way. */
const momentsOfWork: readonly (readonly [id: RoutedOperationId, fields: Fields])[] = [
  ["audio.transcriptions.create", {}],
  ["audio.speech.create", { voice: "alloy", input: sentence, response_format: "wav" }],
  ["embeddings.create", { input: texts }],
  ["rerank", { query: sentence, documents: texts }],
  ["ocr", { document: { type: "image_url", image_url: picture } }],
];

/** Undefined when it was over before anybody saw it. */
async function beginMoment(target: Target, id: RoutedOperationId, fields: Fields): Promise<Work | undefined> {
  const { model, path } = await readyModel(target, id);
  const isForm = operationById(id).body === "multipart";
  const body = isForm
    ? form({ model: model.id }, { file: [sampleSound(), "sample.wav"] })
    : { model: model.id, ...fields };
  const before = (await slotsBefore(target)) ?? 0;
  const answer = target.probe.ask(path, { body, timeoutMs: generateTimeoutMs });
  const ended = answer.then(
    ({ status, text }) => ({ isWhole: status === 200, said: status === 200 ? id : `${status}${shortly(text)}` }),
    (error: unknown) => ({ isWhole: false, said: `it was cut off: ${describeError(error)}` }),
  );
  return (await seenWorking(target, before + 1, ended)) ? { path, more: body, ended } : undefined;
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
  let isOver = false;
  void work?.ended.then(() => {
    isOver = true;
  });
  let saidDraining = false;
  let refusal: Answer | undefined;
  while (work !== undefined && !isOver && (refusal === undefined || refusal.status === 200)) {
    if (saidDraining) {
      refusal = (await ifInTime(target.probe.ask(work.path, { body: work.more, timeoutMs: 1_000 }))) ?? refusal;
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
