import { z } from "zod";

const kib = 1_024;
const mib = 1_024 * kib;
const gib = 1_024 * mib;

const bytes = (value: number, text: string) =>
  z.int().min(kib).max(1_099_511_627_776).default(value).describe(`${text}, in bytes.`);
const count = (value: number, max: number, text: string) => z.int().min(1).max(max).default(value).describe(text);

/** `responses`: answers that are kept, so that later requests can build on them. */
export const responsesConfigSchema = z.strictObject({
  keepDays: count(30, 3_650, "Days for which an answer is kept (OpenAI: 30)."),
  answersMax: count(100_000, 10_000_000, "Answers of all tenants; then the oldest of whoever has most give way."),
  bytesMax: bytes(gib, "Room for all of them"),
  answerBytesMax: bytes(16 * mib, "The largest answer that is kept"),
  backgroundMax: count(100, 10_000, "Answers of one tenant that are being made in the background."),
});

/** `files`: what clients upload, and what batches answer. */
export const filesConfigSchema = z.strictObject({
  directory: z
    .string()
    .min(1)
    .max(4_096)
    .optional()
    .describe(
      "Where their bytes are. Gateways on several hosts that share a database must share this folder too. Default: `files` in the data directory.",
    ),
  fileBytesMax: bytes(512 * mib, "The largest file (OpenAI: 512 MB)"),
  tenantBytesMax: bytes(10 * gib, "All files that one tenant uploads"),
  bytesMax: bytes(50 * gib, "All files of all tenants"),
});

/** `batches`: many requests handed in at once, served while there is room. */
export const batchesConfigSchema = z.strictObject({
  linesMax: count(50_000, 1_000_000, "Requests of one batch (OpenAI: 50,000)."),
  lineBytesMax: bytes(8 * mib, "The longest line of a batch's file"),
  answerBytesMax: bytes(4 * mib, "The longest answer to one line"),
  atOnce: count(4, 64, "Batches that one gateway process works on at the same time."),
  linesAtOnce: count(8, 256, "Requests of one batch at the same time."),
  openMax: count(100, 10_000, "Batches of one tenant that are not finished."),
});

export type ResponsesConfig = z.output<typeof responsesConfigSchema>;
export type FilesConfig = z.output<typeof filesConfigSchema>;
export type BatchesConfig = z.output<typeof batchesConfigSchema>;
