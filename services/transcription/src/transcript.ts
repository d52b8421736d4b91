import { deflateSync } from "node:zlib";
import type { Segment } from "./whisper-library.ts";

/** All that was heard. */
export interface Transcript {
  readonly task: "transcribe" | "translate";
  /** Name of the language, such as `english`. */
  readonly language: string;
  /** Seconds of sound. */
  readonly duration: number;
  readonly temperature: number;
  readonly segments: readonly Segment[];
}

export interface Word {
  readonly word: string;
  readonly start: number;
  readonly end: number;
}

export function textOf(segments: readonly Segment[]): string {
  return segments
    .map(({ text }) => text)
    .join("")
    .trim();
}

/** OpenAI's `json`. */
export function toJson(transcript: Transcript): object {
  return {
    text: textOf(transcript.segments),
    usage: { type: "duration", seconds: Math.ceil(transcript.duration) },
  };
}

/** OpenAI's `verbose_json`. */
export function toVerboseJson(transcript: Transcript, granularities: ReadonlySet<string>): object {
  const { task, language, duration, segments, temperature } = transcript;
  return {
    task,
    language,
    duration,
    text: textOf(segments),
    ...(granularities.has("segment")
      ? { segments: segments.map((segment, id) => describe(segment, id, temperature)) }
      : {}),
    ...(granularities.has("word") ? { words: segments.flatMap(wordsOf) } : {}),
    usage: { type: "duration", seconds: Math.ceil(duration) },
  };
}

function describe(segment: Segment, id: number, temperature: number): object {
  const { start, end, text, tokens, noSpeech } = segment;
  const sum = tokens.reduce((total, { logProbability }) => total + logProbability, 0);
  const bytes = Buffer.from(text);
  return {
    id,
    // Frames of a hundredth of a second, as OpenAI counts.
    seek: Math.round(start * 100),
    start,
    end,
    text,
    tokens: tokens.map((token) => token.id),
    temperature,
    avg_logprob: tokens.length === 0 ? 0 : sum / tokens.length,
    // Text that repeats itself packs well: above 2.4 OpenAI takes it for a failure.
    compression_ratio: bytes.length === 0 ? 0 : bytes.length / deflateSync(bytes).length,
    no_speech_prob: noSpeech,
  };
}

/** A word begins at a token that begins with a space. The text is the segment's, as a token may be half a character. */
export function wordsOf({ text, tokens, start, end }: Segment): Word[] {
  const words = text.trim().split(/\s+/).filter(Boolean);
  const times: { start: number; end: number }[] = [];
  for (const token of tokens) {
    const last = times.at(-1);
    if (last === undefined || token.text.startsWith(" ")) times.push({ start: token.start, end: token.end });
    else last.end = Math.max(last.end, token.end);
  }
  // Where tokens and words do not agree, as in writing without spaces, all that is known are the segment's own times.
  if (times.length !== words.length) return words.map((word) => ({ word, start, end }));
  return words.map((word, at) => ({ word, start: times[at]?.start ?? start, end: times[at]?.end ?? end }));
}

/** SubRip. */
export function toSrt(segments: readonly Segment[]): string {
  return segments
    .map(({ start, end, text }, at) => `${at + 1}\n${clock(start, ",")} --> ${clock(end, ",")}\n${line(text)}\n\n`)
    .join("");
}

/** WebVTT. */
export function toVtt(segments: readonly Segment[]): string {
  const cues = segments.map(
    ({ start, end, text }) => `${clock(start, ".")} --> ${clock(end, ".")}\n${escapeMarkup(line(text))}\n\n`,
  );
  return `WEBVTT\n\n${cues.join("")}`;
}

/** An arrow would begin another cue. */
function line(text: string): string {
  return text
    .trim()
    .replaceAll(/\s*\n\s*/g, " ")
    .replaceAll("-->", "->");
}

function escapeMarkup(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** `HH:MM:SS` and thousandths. */
function clock(seconds: number, point: "," | "."): string {
  const thousandths = Math.round(seconds * 1000);
  const part = (unit: number, size: number, width = 2): string =>
    String(Math.floor(thousandths / unit) % size).padStart(width, "0");
  return `${part(3_600_000, 100)}:${part(60_000, 60)}:${part(1000, 60)}${point}${part(1, 1000, 3)}`;
}
