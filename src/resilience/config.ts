import { z } from "zod";

const waitMs = (value: number, text: string) => z.int().nonnegative().max(86_400_000).default(value).describe(text);

/** `admission`: how requests wait while every slot of their model is taken. */
export const admissionConfigSchema = z.strictObject({
  queueMax: z.int().nonnegative().max(100_000).default(512).describe("Requests that wait for one model (Ollama: 512)."),
  queueTotalMax: z
    .int()
    .nonnegative()
    .max(1_000_000)
    .default(4_096)
    .describe("Requests that wait for all models together; each keeps its body in memory."),
  waitMsMax: z
    .strictObject({
      interactive: waitMs(60_000, "Somebody looks at the screen: as long as for the first token."),
      default: waitMs(600_000, "The time after which OpenAI's own clients give up."),
      batch: waitMs(86_400_000, "A day, the completion window of a batch."),
    })
    .prefault({})
    .describe("Longest wait by class; what would wait longer is refused at once."),
  batchIdleShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.25)
    .describe("Share of a model's slots that batch requests leave free, so that others need not wait for one."),
});

export type AdmissionConfig = z.output<typeof admissionConfigSchema>;
