import type { Logger } from "../../base/logger.ts";

/** What every request of a work function has. */
interface Asked {
  /** The model as the client named it. */
  readonly model: string;
  /** The request as it came: for fields that are not taken out of it below. */
  readonly body: Readonly<Record<string, unknown>>;
}

export interface ChatRequest extends Asked {
  /** At least one. Parts of a message that are no text are left out. */
  readonly messages: readonly { readonly role: string; readonly content: string }[];
}

export interface EmbeddingRequest extends Asked {
  readonly texts: readonly string[];
}

export interface ImageRequest extends Asked {
  readonly prompt: string;
  /** In pixels; 512 unless the client says otherwise. */
  readonly width: number;
  readonly height: number;
}

export interface SpeechRequest extends Asked {
  readonly text: string;
  readonly voice: string;
  /** 1 is as usual, 0.25 to 4. */
  readonly speed: number;
  /** What the client would like: `mp3`, `wav`, `flac`, `opus`, `aac` or `pcm`. The answer says what it got. */
  readonly format: string;
}

export interface TranscriptionRequest extends Asked {
  /** The file as it came: WAV, MP3, or whatever clients send. */
  readonly sound: Uint8Array;
  readonly filename: string;
  /** Such as `en`; null when it is to be found out. */
  readonly language: string | null;
}

export interface OcrRequest extends Asked {
  /** A picture or a PDF. */
  readonly document: Uint8Array;
  /** Its media type as the client says it. */
  readonly type: string;
}

export interface MusicRequest extends Asked {
  readonly prompt: string;
  readonly seconds: number;
}

export interface VideoRequest extends MusicRequest {
  /** In pixels. */
  readonly width: number;
  readonly height: number;
}

export interface RerankRequest extends Asked {
  readonly query: string;
  readonly documents: readonly string[];
}

export interface ModerationRequest extends Asked {
  readonly texts: readonly string[];
}

export interface ToolRequest extends Asked {
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** A transcript; times are seconds from the beginning. */
export interface Transcript {
  readonly text: string;
  /** Such as `en`. */
  readonly language?: string;
  /** Of the whole sound, in seconds. */
  readonly duration?: number;
  readonly segments?: readonly { readonly start: number; readonly end: number; readonly text: string }[];
}

export interface OcrPage {
  readonly markdown: string;
}

/** Bytes at once, or in pieces as they are made. */
export type Media = Uint8Array | AsyncIterable<Uint8Array>;

/** Beside the request, for work in this process. */
export interface WorkContext {
  /** Aborts when the client is gone or the service must end. Work that goes on then keeps others waiting. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

type WorkFunction<Request, Result> = (request: Request, context: WorkContext) => Result | Promise<Result>;

/**
 * The work of each domain: a request in, a result out, without anything of HTTP. `serveWork` makes a service of one, and
 * `serveCommand` lets a program do the same over JSON.
 */
export interface WorkOfDomain {
  readonly chat: WorkFunction<ChatRequest, string | AsyncIterable<string>>;
  /** A vector for each text, all of one length. */
  readonly embedding: WorkFunction<EmbeddingRequest, readonly (readonly number[])[]>;
  /** One PNG, JPEG or WebP. Called once for each picture. */
  readonly image: WorkFunction<ImageRequest, Uint8Array>;
  /** WAV, MP3, FLAC, Ogg or AAC is recognised; anything else is taken to be of the format that was asked for. */
  readonly speech: WorkFunction<SpeechRequest, Media>;
  readonly transcription: WorkFunction<TranscriptionRequest, Transcript>;
  readonly ocr: WorkFunction<OcrRequest, readonly OcrPage[]>;
  /** MP4. May take long: nobody waits for it at the other end of a connection. */
  readonly video: WorkFunction<VideoRequest, Media>;
  /** Sound, as with speech. May take long, as with films. */
  readonly music: WorkFunction<MusicRequest, Media>;
  /** A score for each document; more is better. */
  readonly rerank: WorkFunction<RerankRequest, readonly number[]>;
  /** For each text how harmful it is by category, 0 to 1; from 0.5 on it is flagged. */
  readonly moderation: WorkFunction<ModerationRequest, readonly Readonly<Record<string, number>>[]>;
  /** Text, or anything that JSON can say. */
  readonly tool: WorkFunction<ToolRequest, unknown>;
}

/** Domains of which the work is one function. Agents are not among them: they act through others. */
export type WorkDomain = keyof WorkOfDomain;

export type Work<D extends WorkDomain> = WorkOfDomain[D];
