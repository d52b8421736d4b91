import type { Domain } from "../../contract/metadata.ts";
import type { Handlers, ServiceDefinition } from "../service.ts";
import { answerChat } from "./answer-chat.ts";
import { answerImages, answerOcr, answerSpeech, answerTranscriptions } from "./answer-media.ts";
import { answerEmbeddings, answerModerations, answerRerank, answerToolCalls } from "./answer-texts.ts";
import { keepJobs } from "./keep-jobs.ts";
import type { Work, WorkDomain, WorkOfDomain } from "./work.ts";

/** The parts of a definition that follow from its work. */
export type ServedWork = Pick<ServiceDefinition, "capabilities" | "handlers" | "stop">;

export interface ServeWorkOptions {
  /** Requests, or jobs, that are worked on at once; further ones wait. Default 4. */
  readonly concurrency?: number;
}

const concurrencyOtherwise = 4;

/**
 * The operations of a domain out of its work: `defineService({ ..., ...serveWork("chat", work) })`. Requests are checked
 * and answers written in the shape of the domain's operations; chats are streamed, sound is sent as it is made, films and
 * music are jobs.
 */
export function serveWork<D extends WorkDomain>(
  domain: D,
  work: Work<D>,
  { concurrency = concurrencyOtherwise }: ServeWorkOptions = {},
): ServedWork {
  const capabilities = { ...capabilitiesOf([domain]), max_concurrency: concurrency };
  if (isOf("video", domain, work)) return { capabilities, ...keepJobs("video", work, concurrency) };
  if (isOf("music", domain, work)) return { capabilities, ...keepJobs("music", work, concurrency) };
  return { capabilities, handlers: handlersOf(domain, work) };
}

/** What metadata says of services of these domains. */
export function capabilitiesOf(domains: readonly Domain[]) {
  const ways = domains.flatMap((domain) => modalities[domain] ?? []);
  const every = (side: 0 | 1) => [...new Set(ways.map((way) => way[side]))];
  return {
    domains: [...domains],
    modalities: { input: every(0), output: every(1) },
    streaming: domains.includes("chat"),
  };
}

type Modality = "text" | "image" | "audio" | "video" | "vector" | "file";

const modalities: Partial<Record<Domain, readonly (readonly [from: Modality, to: Modality])[]>> = {
  chat: [["text", "text"]],
  embedding: [["text", "vector"]],
  image: [["text", "image"]],
  speech: [["text", "audio"]],
  transcription: [["audio", "text"]],
  ocr: [["image", "text"]],
  video: [["text", "video"]],
  music: [["text", "audio"]],
  rerank: [["text", "text"]],
  moderation: [["text", "text"]],
  tool: [["text", "text"]],
};

function isOf<D extends WorkDomain>(wanted: D, domain: WorkDomain, work: WorkOfDomain[WorkDomain]): work is Work<D> {
  return domain === wanted && typeof work === "function";
}

function handlersOf(domain: WorkDomain, work: WorkOfDomain[WorkDomain]): Handlers {
  if (isOf("chat", domain, work)) return { "chat.completions.create": answerChat(work) };
  if (isOf("embedding", domain, work)) return { "embeddings.create": answerEmbeddings(work) };
  if (isOf("image", domain, work)) return { "images.generate": answerImages(work) };
  if (isOf("speech", domain, work)) return { "audio.speech.create": answerSpeech(work) };
  if (isOf("transcription", domain, work)) return { "audio.transcriptions.create": answerTranscriptions(work) };
  if (isOf("ocr", domain, work)) return { ocr: answerOcr(work) };
  if (isOf("rerank", domain, work)) return { rerank: answerRerank(work) };
  if (isOf("moderation", domain, work)) return { "moderations.create": answerModerations(work) };
  return { "tools.call": answerToolCalls(work as Work<"tool">) };
}
