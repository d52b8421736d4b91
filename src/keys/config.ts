import { z } from "zod";

/** `prices`: what models cost, for budgets in money. */
export const pricesConfigSchema = z.strictObject({
  file: z
    .string()
    .min(1)
    .max(4_096)
    .optional()
    .describe(
      "A YAML or JSON file with what models cost; read again when it changes. Models that are not in it cost nothing.",
    ),
});

export type PricesConfig = z.output<typeof pricesConfigSchema>;
