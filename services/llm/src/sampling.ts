import { randomInt } from "node:crypto";
import { z } from "zod";

/** How the next token is chosen. */
export interface Sampling {
  readonly temperature: number;
  readonly topP: number;
  /** 0 is off. */
  readonly topK: number;
  readonly minP: number;
  readonly seed: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
}

const optional = <S extends z.ZodType>(schema: S) => schema.nullish().transform((value) => value ?? undefined);

/** The fields of a request that choose tokens; chat and completions have them in common. */
export const samplingFields = {
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().gt(0).max(1)),
  top_k: optional(z.int().min(0).max(1000)),
  min_p: optional(z.number().min(0).max(1)),
  seed: optional(z.int()),
  frequency_penalty: optional(z.number().min(-2).max(2)),
  presence_penalty: optional(z.number().min(-2).max(2)),
  max_tokens: optional(z.int().positive()),
  n: optional(z.int().min(1).max(8)),
  stop: optional(z.union([z.string().min(1), z.array(z.string().min(1)).max(16)])),
  stream: optional(z.boolean()),
  stream_options: optional(z.looseObject({ include_usage: z.boolean().optional() })),
};
const samplingSchema = z.object(samplingFields);
export type SamplingFields = z.output<typeof samplingSchema>;

/** What the model's makers recommend; what they leave open is as in llama.cpp's own server. */
export interface SamplingDefaults {
  readonly temperature: number;
  readonly topP: number;
}
const serverDefaults: SamplingDefaults = { temperature: 0.8, topP: 0.95 };

/** Sampling of one choice. The choices of a request differ in their seed; without one, a new seed is drawn. */
export function toSampling(fields: SamplingFields, defaults: SamplingDefaults | undefined, choice: number): Sampling {
  const { temperature, topP } = defaults ?? serverDefaults;
  const seed = fields.seed === undefined ? randomInt(2 ** 32) : (fields.seed + choice) >>> 0;
  return {
    temperature: fields.temperature ?? temperature,
    topP: fields.top_p ?? topP,
    topK: fields.top_k ?? 40,
    minP: fields.min_p ?? 0.05,
    seed,
    frequencyPenalty: fields.frequency_penalty ?? 0,
    presencePenalty: fields.presence_penalty ?? 0,
  };
}

export function stopsOf({ stop }: SamplingFields): readonly string[] {
  if (stop === undefined) return [];
  return typeof stop === "string" ? [stop] : stop;
}
