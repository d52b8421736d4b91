import { z } from "zod";
import { defaultModelId } from "./builtin-models.ts";

/** `models`: where model files live and which model is there from the start. */
export const modelsConfigSchema = z.strictObject({
  directory: z
    .string()
    .min(1)
    .max(4096)
    .optional()
    .describe("Directory of model files. Default: `models` in the data directory."),
  default: z
    .string()
    .min(1)
    .max(256)
    .default(defaultModelId)
    .describe("The model that the built-in service loads: an id of `nexus models`, fetched at the first start."),
});

export type ModelsConfig = z.output<typeof modelsConfigSchema>;
