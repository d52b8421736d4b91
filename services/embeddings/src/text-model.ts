import { Worker } from "node:worker_threads";
import { NexusError } from "nexus/base";
import type { Question, Reply, TextInput, TextModelFacts, WorkerStart } from "./worker-messages.ts";

/** A model in a thread of its own: reading its file alone would keep everything else waiting for a second. */
export interface TextModel {
  readonly facts: TextModelFacts;
  /** Tokens of each input. */
  count(inputs: readonly TextInput[]): Promise<readonly number[]>;
  /** The vector of a text, or the one score of a query and a document. Inputs take turns in the order of the calls. */
  read(input: TextInput): Promise<Float32Array>;
  /** Resolves with why it is gone, once: its thread has ended. Nothing is read any more. */
  readonly ended: Promise<string>;
  close(): Promise<void>;
}

type Asked =
  | Omit<Extract<Question, { kind: "count" }>, "id">
  | Omit<Extract<Question, { kind: "read" }>, "id">
  | { kind: "close" };

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: unknown): void;
}

/**
 * The garbage that a thread may gather. Each reading leaves 12 bytes for each piece of the vocabulary (3 MB of 250,000)
 * outside of the heap, in an object of node-llama-cpp that goes with the garbage only: at the usual 48 MB of it hundreds
 * of readings add up to more than 1 GB; at 2 MB, to some 60 MB.
 */
const resourceLimits = { maxYoungGenerationSizeMb: 2 };

/**
 * Loads a model file.
 * @throws Error that says why it cannot be loaded; the signal's reason when it aborts.
 */
export async function openTextModel(start: WorkerStart, signal: AbortSignal): Promise<TextModel> {
  signal.throwIfAborted();
  const worker = new Worker(new URL("./text-model-worker.ts", import.meta.url), { workerData: start, resourceLimits });
  const waiting = new Map<number, Waiting>();
  let next = 0;
  let failure: Error | undefined;
  worker.on("error", (error) => {
    failure = error;
  });
  const ended = new Promise<string>((resolve) => {
    worker.once("exit", () => {
      const reason = failure?.message ?? "its thread has ended";
      for (const { reject } of waiting.values()) {
        reject(new NexusError("internal_error", "The model stopped working.", { detail: reason }));
      }
      waiting.clear();
      resolve(reason);
    });
  });
  const facts = await untilOpened(worker, ended, signal);
  worker.on("message", (reply: Reply) => {
    if (reply.kind === "opened") return;
    const asked = waiting.get(reply.id);
    waiting.delete(reply.id);
    if (reply.kind !== "failed") asked?.resolve(reply);
    else asked?.reject(new NexusError("internal_error", "The model failed.", { detail: reply.reason }));
  });
  const ask = (question: Asked): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const id = next++;
      waiting.set(id, { resolve, reject });
      worker.postMessage({ id, ...question });
    });
  return {
    facts,
    ended,
    async count(inputs) {
      const reply = await ask({ kind: "count", inputs });
      return reply.kind === "counts" ? reply.counts : [];
    },
    async read(input) {
      const reply = await ask({ kind: "read", input });
      return reply.kind === "numbers" ? reply.numbers : new Float32Array();
    },
    async close() {
      await Promise.race([ask({ kind: "close" }).catch(() => {}), ended]);
      await worker.terminate();
    },
  };
}

async function untilOpened(worker: Worker, ended: Promise<string>, signal: AbortSignal): Promise<TextModelFacts> {
  const stop = (): void => void worker.terminate();
  signal.addEventListener("abort", stop, { once: true });
  const opened = new Promise<TextModelFacts>((resolve) => {
    worker.once("message", (reply: Reply) => {
      if (reply.kind === "opened") resolve(reply.facts);
    });
  });
  const result = await Promise.race([opened, ended]);
  signal.removeEventListener("abort", stop);
  signal.throwIfAborted();
  if (typeof result === "string") throw new Error(result);
  return result;
}
