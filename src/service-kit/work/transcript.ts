import { bytes, json, type ServiceResponse } from "../response.ts";
import { badResult, isFields } from "./read-fields.ts";
import type { Transcript } from "./work.ts";

type TranscriptFormat = "json" | "text" | "srt" | "vtt" | "verbose_json";
type Segment = NonNullable<Transcript["segments"]>[number];

/** A transcript as clients ask for it. */
export function writeTranscript(transcript: Transcript, format: TranscriptFormat): ServiceResponse {
  if (!isFields(transcript) || typeof transcript.text !== "string") throw badResult("an object with `text`");
  const { text, language = "", duration = 0 } = transcript;
  if (format === "text") return plain(`${text}\n`);
  if (format === "json") return json({ text });
  const segments = transcript.segments ?? [{ start: 0, end: duration, text }];
  if (format === "srt") return plain(segments.map((one, index) => `${index + 1}\n${cue(one, ",")}\n`).join("\n"));
  if (format === "vtt") return plain(`WEBVTT\n\n${segments.map((one) => `${cue(one, ".")}\n`).join("\n")}`, "text/vtt");
  const numbered = segments.map((one, id) => ({ id, ...one }));
  return json({ task: "transcribe", language, duration, text, segments: numbered });
}

function plain(text: string, type = "text/plain"): ServiceResponse {
  return bytes(Buffer.from(text), `${type}; charset=utf-8`);
}

function cue({ start, end, text }: Segment, point: string): string {
  return `${timeOf(start, point)} --> ${timeOf(end, point)}\n${text.trim()}`;
}

/** `00:01:02,345`. */
function timeOf(seconds: number, point: string): string {
  const all = Math.max(0, Math.round(seconds * 1000));
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const milliseconds = String(all % 1000).padStart(3, "0");
  return `${two(all / 3_600_000)}:${two((all / 60_000) % 60)}:${two((all / 1000) % 60)}${point}${milliseconds}`;
}
