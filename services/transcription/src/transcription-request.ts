import { NexusError } from "nexus/base";
import type { ServiceRequest } from "nexus/service-kit";
import { z } from "zod";

export const transcriptFormats = ["json", "text", "srt", "verbose_json", "vtt"] as const;

/** What a client asks for. */
export interface TranscriptionRequest {
  readonly model: string;
  readonly file: Uint8Array;
  readonly language: string | undefined;
  readonly prompt: string | undefined;
  readonly format: (typeof transcriptFormats)[number];
  readonly temperature: number;
  readonly granularities: ReadonlySet<string>;
  readonly isStream: boolean;
}

/** Fields of a form are texts; those of OpenAI's that mean nothing to Whisper are ignored. */
const fieldsSchema = z.object({
  model: z.string(),
  language: z.string().max(32).optional(),
  // Whisper reads the last 224 tokens of it.
  prompt: z.string().max(16_384).optional(),
  response_format: z.enum(transcriptFormats).default("json"),
  temperature: z.coerce.number().min(0).max(1).default(0),
  timestamp_granularities: z.array(z.enum(["word", "segment"])).default(["segment"]),
  stream: z.boolean().default(false),
});

/** @throws NexusError `invalid_request` that names the field at fault. */
export function parseTranscriptionRequest({
  body,
  files,
}: Pick<ServiceRequest, "body" | "files">): TranscriptionRequest {
  const parsed = fieldsSchema.safeParse(body);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const param = String(issue?.path[0] ?? "body");
    throw new NexusError("invalid_request", `\`${param}\`: ${issue?.message ?? "is wrong"}.`, { param });
  }
  const file = files.find(({ name }) => name === "file");
  if (file === undefined) {
    throw new NexusError("invalid_request", "`file` must be a sound file, sent as a part with a filename.", {
      param: "file",
    });
  }
  const { data } = parsed;
  return {
    model: data.model,
    file: file.bytes,
    // An empty field of a form says nothing.
    language: data.language || undefined,
    prompt: data.prompt || undefined,
    format: data.response_format,
    temperature: data.temperature,
    granularities: new Set(data.timestamp_granularities),
    isStream: data.stream,
  };
}
