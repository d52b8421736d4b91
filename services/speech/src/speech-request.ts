import { NexusError } from "nexus/base";
import { z } from "zod";
import { type SoundFormatName, soundFormats } from "./encoders.ts";

/** What a client asks for. */
export interface SpeechRequest {
  readonly model: string;
  readonly input: string;
  readonly voice: string;
  /** 1 is as the voice speaks by itself. */
  readonly speed: number;
  readonly format: SoundFormatName;
  readonly isEvents: boolean;
}

/** OpenAI's API takes 4,096 characters; a chapter may be read here. */
const inputMax = 65_536;

const requestSchema = z.object({
  model: z.string(),
  input: z.string().max(inputMax),
  voice: z.union([z.string(), z.object({ id: z.string() }).transform(({ id }) => id)]).default("alloy"),
  speed: z.number().min(0.25).max(4).default(1),
  response_format: z.string().default("mp3"),
  stream_format: z.enum(["audio", "sse"]).default("audio"),
});

/** @throws NexusError `invalid_request` that names the field at fault, `unsupported_feature` for a format. */
export function parseSpeechRequest(body: unknown): SpeechRequest {
  const parsed = requestSchema.safeParse(body);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const param = String(issue?.path[0] ?? "body");
    throw new NexusError("invalid_request", `\`${param}\`: ${issue?.message ?? "is wrong"}.`, { param });
  }
  const { model, input, voice, speed, response_format: format, stream_format } = parsed.data;
  if (input.trim() === "") throw new NexusError("invalid_request", "`input` has nothing to say.", { param: "input" });
  return { model, input, voice, speed, format: formatOf(format), isEvents: stream_format === "sse" };
}

function formatOf(name: string): SoundFormatName {
  const found = (Object.keys(soundFormats) as SoundFormatName[]).find((known) => known === name);
  if (found !== undefined) return found;
  const known = Object.keys(soundFormats).join(", ");
  if (name === "opus" || name === "aac") {
    throw new NexusError("unsupported_feature", `${name} is not made here. Ask for one of ${known}.`, {
      param: "response_format",
    });
  }
  throw new NexusError("invalid_request", `\`response_format\` must be one of ${known}.`, { param: "response_format" });
}
