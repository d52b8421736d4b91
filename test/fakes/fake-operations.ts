import { type RoutedOperationId, routedOperations } from "../../src/contract/operations.ts";
import { speech, transcription } from "./fake-audio.ts";
import { embed, generate } from "./fake-generation.ts";
import { images } from "./fake-images.ts";
import { FakeJobs } from "./fake-jobs.ts";
import { moderation, ocr, rerank, toolCall } from "./fake-judgements.ts";
import { countTokens, messages } from "./fake-messages.ts";
import type { FakeAsked, FakeReply } from "./fake-reply.ts";
import { responses } from "./fake-responses.ts";

const works: Readonly<Partial<Record<RoutedOperationId, (asked: FakeAsked) => FakeReply>>> = {
  "chat.completions.create": generate,
  "completions.create": generate,
  "embeddings.create": embed,
  "responses.create": responses,
  "messages.create": messages,
  "messages.count_tokens": countTokens,
  "moderations.create": moderation,
  rerank,
  ocr,
  "tools.call": toolCall,
  "images.generate": images,
  "images.edit": images,
  "images.create_variation": images,
  "audio.speech.create": speech,
  "audio.transcriptions.create": transcription,
  "audio.translations.create": transcription,
};

/** The operation that a path is for. vLLM's short path for reranking is another name of it. */
export function operationAt(method: string, path: string): RoutedOperationId | undefined {
  const wanted = path === "/rerank" ? "/v1/rerank" : path;
  const one = rows.find((row) => row.method === method && row.pattern.test(wanted));
  return one?.id;
}

/** What is asked for over plain HTTP. */
const rows = routedOperations
  .filter(({ id }) => id !== "realtime.connect")
  .map(({ id, method, path }) => ({ id, method, pattern: new RegExp(`^${path.replaceAll("{id}", "[^/]+")}$`) }));

/** What is asked about a job. */
export interface FakeLook {
  readonly operation: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Of the body; empty where there is none. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What a server of any kind answers to the operations of the contract, with the jobs that it has. */
export class FakeOperations {
  readonly #jobs = { video: new FakeJobs("video"), music: new FakeJobs("music") };

  /** Makes a model work. */
  work(asked: FakeAsked): FakeReply {
    if (asked.operation === "videos.create") return this.#jobs.video.create(asked.fields, asked.baseUrl);
    if (asked.operation === "music.create") return this.#jobs.music.create(asked.fields, asked.baseUrl);
    const work = works[asked.operation];
    if (work === undefined) throw new RangeError(`${asked.operation} is no work`);
    return work(asked);
  }

  /** What is asked about a job, which names no model. */
  look({ path, query, operation, fields }: FakeLook): FakeReply {
    const jobs = operation.startsWith("videos.") ? this.#jobs.video : this.#jobs.music;
    const id = decodeURIComponent(path.split("/")[3] ?? "");
    if (operation.endsWith(".list")) return jobs.list();
    if (operation.endsWith(".delete")) return jobs.delete(id);
    if (operation.endsWith(".remix")) return jobs.remix(id, fields);
    if (operation.endsWith(".download_content")) return jobs.content(id, query.get("variant"));
    return jobs.retrieve(id);
  }
}
