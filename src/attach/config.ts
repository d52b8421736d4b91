import { z } from "zod";
import { NexusError } from "../base/errors.ts";
import { secretReferenceSchema } from "../contract/instance-record.ts";
import { nameSchema } from "../contract/metadata.ts";
import { paidLabel, tierLabel, tierMax } from "../contract/service-labels.ts";
import { normaliseTarget } from "./target-url.ts";

/** Labels with those that an entry's other settings become. */
export const labelsSchema = z.record(z.string().min(1).max(63), z.string().max(256));

/** One entry of `attach`. */
export const attachEntrySchema = z.strictObject({
  url: z.string().min(1).max(2048).describe("Where the server listens, such as `http://127.0.0.1:11434`."),
  name: nameSchema.optional().describe("What it is called here. Default: made of its address."),
  labels: labelsSchema
    .refine((labels) => Object.keys(labels).length <= 64, "at most 64 labels")
    .default({})
    .describe("Free words about it, such as `zone: rack1`."),
  keyFrom: secretReferenceSchema
    .optional()
    .describe(
      "Where the key that it asks for lives: `env:NAME`, `file:/absolute/path`, or `command:LINE`, a shell command that prints it. Never the key itself.",
    ),
  paid: z
    .boolean()
    .default(false)
    .describe("It costs money: it is used only where a route names it or allows paid services."),
  tier: z
    .int()
    .min(0)
    .max(tierMax)
    .optional()
    .describe(
      "When its turn is where no route says so: the lowest goes first, a higher one when none of them can. Default: 0.",
    ),
});

/** The labels of an entry's server: by them the choice of an instance knows what costs money, and whose turn it is. */
export function labelsOf({
  labels,
  paid,
  tier,
}: Pick<AttachEntry, "labels" | "paid" | "tier">): Readonly<Record<string, string>> {
  return {
    ...labels,
    ...(paid ? { [paidLabel]: "true" } : {}),
    ...(tier === undefined ? {} : { [tierLabel]: String(tier) }),
  };
}

/** `attach`: model servers that belong to the platform as long as they are listed here. */
export const attachConfigSchema = z
  .array(attachEntrySchema)
  .max(256)
  .superRefine((entries, context) => {
    for (const [at, { url }] of entries.entries()) {
      try {
        normaliseTarget(url);
      } catch (error) {
        if (!(error instanceof NexusError)) throw error;
        context.addIssue({ code: "custom", path: [at, "url"], message: error.message });
      }
    }
  })
  .default([])
  .describe("Model servers to attach at start, in addition to those of `nexus attach`.");

/**
 * Where model servers listen by default, as their documentation has it: Ollama; llama.cpp and LocalAI; vLLM; LM Studio;
 * KoboldCpp; Jan; text-generation-webui and TabbyAPI.
 */
export const usualPorts = [11_434, 8_080, 8_000, 1_234, 5_001, 1_337, 5_000] as const;

/** `discovery`: finds model servers on this machine. */
export const discoveryConfigSchema = z.strictObject({
  enabled: z.boolean().default(true).describe("Attach model servers of this machine as they appear."),
  ports: z
    .array(z.int().min(1).max(65_535))
    .max(64)
    .default([...usualPorts])
    .describe("Ports of 127.0.0.1 to look at."),
  intervalSeconds: z.int().min(1).max(3_600).default(15).describe("Between two looks. A closed port costs nothing."),
});

export type AttachEntry = z.output<typeof attachEntrySchema>;
export type DiscoveryConfig = z.output<typeof discoveryConfigSchema>;
