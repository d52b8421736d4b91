import { z } from "zod";

/** `records`: what is kept of every request, for `nexus explain`. */
export const recordsConfigSchema = z.strictObject({
  memoryMax: z
    .int()
    .min(0)
    .max(100_000)
    .default(1_000)
    .describe("Newest records that each gateway process keeps in memory; about 2 KB each."),
  diskBytesMax: z
    .int()
    .min(0)
    .max(1_099_511_627_776)
    .default(64 * 1024 * 1024)
    .describe("Room on disk for older ones, in bytes; the oldest go first. 0 keeps none on disk."),
  diskDaysMax: z.int().min(1).max(365).default(7).describe("Days after which a record on disk goes."),
  diskPerSecondMax: z
    .int()
    .min(1)
    .max(100_000)
    .default(200)
    .describe(
      "Records written a second. Above it only what failed or was tried twice is written, up to twice as many.",
    ),
});

export type RecordsConfig = z.output<typeof recordsConfigSchema>;
