import { z } from "zod";

/** Version of the contract that this build speaks. A reader accepts every `1.x`. */
export const contractVersion = "1.0";

export const domains = [
  "chat",
  "embedding",
  "image",
  "speech",
  "transcription",
  "ocr",
  "video",
  "music",
  "rerank",
  "moderation",
  "tool",
  "agent",
] as const;
export const domainSchema = z.enum(domains);
export type Domain = z.infer<typeof domainSchema>;

const modalitySchema = z.enum(["text", "image", "audio", "video", "vector", "file"]);

/** Names of services, instances and hosts: safe in URLs, file names, DNS and metric labels. */
export const nameSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/, "lower-case letters, digits, '.', '_' and '-', at most 63");

const shortText = z.string().max(256);
const modelIdSchema = z
  .string()
  .min(1)
  .max(256)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses
  .regex(/^[^\u0000-\u001f\u007f]+$/, "no control characters");

/** What a model can do, as its server describes it. Absent means unknown, never "no". */
export const modelFeaturesSchema = z.looseObject({
  tools: z.boolean().optional().describe("Takes `tools` and answers with tool calls."),
  vision: z.boolean().optional().describe("Takes images in messages."),
  json_schema: z.boolean().optional().describe("Holds to `response_format` of type `json_schema`."),
  reasoning: z.boolean().optional().describe("Thinks before it answers."),
  realtime: z.boolean().optional().describe("Talks over the WebSocket of `realtime.connect`."),
  embeddings_dim: z.int().positive().optional().describe("Length of its vectors."),
});
export type ModelFeatures = z.infer<typeof modelFeaturesSchema>;

export const modelSchema = z.looseObject({
  id: modelIdSchema.describe("The id that clients ask for."),
  aliases: z.array(modelIdSchema).max(32).default([]).describe("Other ids that mean the same model here."),
  domains: z.array(domainSchema).min(1).describe("What it is for; decides which operations reach it."),
  context_window: z.int().positive().nullable().default(null).describe("Tokens of prompt and answer together."),
  features: modelFeaturesSchema.default({}),
  state: z
    .enum(["loaded", "loading", "available"])
    .default("available")
    .describe("`available`: would be loaded at the first request."),
  size_bytes: z.int().nonnegative().nullable().default(null).describe("Size of the weights on disk."),
  vram_bytes: z.int().nonnegative().nullable().default(null).describe("GPU memory it takes while loaded."),
});
export type Model = z.infer<typeof modelSchema>;

export const endpointSchema = z.looseObject({
  method: z.enum(["GET", "POST", "PUT", "PATCH", "DELETE"]),
  path: z.string().startsWith("/").max(512),
  operation_id: z.string().min(1).max(128).describe("An operation of the contract, or the service's own."),
  summary: shortText.default(""),
  request_schema: z.string().max(256).nullable().default(null).describe("Name or URL of the request's schema."),
  response_schema: z.string().max(256).nullable().default(null),
  streaming: z.boolean().default(false),
});
export type Endpoint = z.infer<typeof endpointSchema>;

export const uiOptionSchema = z.looseObject({
  key: z.string().min(1).max(64).describe("The request field that it sets."),
  label: shortText,
  type: z.enum(["string", "text", "number", "integer", "boolean", "enum", "file"]),
  default: z.union([z.string(), z.number(), z.boolean(), z.null()]).default(null),
  values: z
    .array(z.union([z.string(), z.number()]))
    .max(256)
    .optional()
    .describe("The choices of an `enum`."),
  min: z.number().optional(),
  max: z.number().optional(),
  description: z.string().max(1024).default(""),
});
export type UiOption = z.infer<typeof uiOptionSchema>;

/** What a service needs of its host; placement reads it. Bytes, counts and seconds. */
export const requirementsSchema = z.looseObject({
  vram: z.int().nonnegative().optional().describe("GPU memory in bytes."),
  gpu_count: z.int().nonnegative().optional(),
  compute_capability_min: z.number().optional().describe("CUDA compute capability, such as 8.0."),
  runtimes: z.array(shortText).max(32).optional().describe("Programs and packages, such as `ffmpeg` or `cuda>=12`."),
  cpu: z.number().nonnegative().optional().describe("Cores."),
  memory: z.int().nonnegative().optional().describe("Bytes."),
  disk: z.int().nonnegative().optional().describe("Bytes."),
  warmup_seconds: z.number().nonnegative().optional(),
  exclusive: z.boolean().optional().describe("Wants its GPUs for itself."),
});

/** `GET /v1/metadata`: how an instance describes itself. Unknown fields are kept, so that newer services pass. */
export const metadataSchema = z.looseObject({
  schema_version: z.string().regex(/^1\.\d+$/, `must be "1.x"; this build speaks ${contractVersion}`),
  service: z.looseObject({
    name: nameSchema,
    version: z.string().min(1).max(64),
    description: z.string().max(1024).default(""),
  }),
  instance: z.looseObject({
    id: nameSchema,
    host: nameSchema,
    started_at: z.iso.datetime({ offset: true }),
  }),
  backend: z
    .looseObject({ name: shortText, vendor: shortText.default(""), version: shortText.default("") })
    .describe("What does the work: `llama.cpp`, `vLLM`, `Ollama`."),
  endpoints: z.array(endpointSchema).max(128),
  capabilities: z.looseObject({
    domains: z.array(domainSchema),
    modalities: z
      .looseObject({ input: z.array(modalitySchema).default([]), output: z.array(modalitySchema).default([]) })
      .default({ input: [], output: [] }),
    streaming: z.boolean().default(false),
    max_concurrency: z.int().positive().nullable().default(null).describe("Requests at once; null is unknown."),
    features: z.array(z.string().max(64)).max(64).default([]),
  }),
  models: z.array(modelSchema).max(4096),
  requires: requirementsSchema.default({}),
  ui: z.looseObject({ options: z.array(uiOptionSchema).max(128).default([]) }).default({ options: [] }),
});
export type ServiceMetadata = z.infer<typeof metadataSchema>;

/** `GET /v1/descriptor`: the metadata plus what a console needs to draw a panel. */
export const descriptorSchema = metadataSchema.extend({
  response_types: z
    .record(z.string(), z.array(z.string().max(128)).max(32))
    .describe("Media types that each operation id can answer with."),
  ui_navigation: z.looseObject({
    section: z.string().max(64).describe("The group of panels that it belongs to, usually its domain."),
    title: shortText,
    icon: z.string().max(64).default(""),
    order: z.int().default(100),
  }),
});
export type ServiceDescriptor = z.infer<typeof descriptorSchema>;
