import { z } from "zod";

/**
 * The services that come with Nexus besides the model service: what each one is for. The program of one is
 * `services/NAME/src/main.ts`. This table is all that `nexus up` knows of them.
 */
export const builtinServices = {
  embeddings: "vectors of texts",
  rerank: "documents in the order of their relevance",
  moderation: "judgements of texts and pictures",
  speech: "sound from text",
  transcription: "text from sound",
  ocr: "text from pictures",
  image: "pictures, by a server that makes them",
  video: "films, by a server that makes them",
  music: "music, by a server that makes it",
} as const satisfies Readonly<Record<string, string>>;

export type BuiltinServiceName = keyof typeof builtinServices;

export const builtinServiceNames = Object.keys(builtinServices) as BuiltinServiceName[];

const builtinServiceSchema = z.strictObject({
  enabled: z.boolean().default(true).describe("`false` stops it and keeps its entry."),
  env: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "not the name of an environment variable"), z.string())
    .default({})
    .describe("Its settings: the environment variables that its page in docs/guides/services.md lists."),
});

/** `builtin.services`: which of them run. */
export const builtinServicesSchema = z
  .partialRecord(z.enum(builtinServiceNames), builtinServiceSchema)
  .default({})
  .describe(
    `The services that run besides the model service, by name: ${builtinServiceNames.join(", ")}. None runs by itself.`,
  );
