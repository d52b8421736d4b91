import { z } from "zod";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { DurableFile } from "../registry/durable-file.ts";
import { ColdStarts } from "../resilience/cold-starts.ts";

/** Pairs of model and host that are kept: the last of them, some 100 bytes each. */
const keptMax = 1_000;
/** Loads take seconds to minutes: what one has taught is on disk before the next one ends. */
const delayMs = 1_000;

const milliseconds = z.number().nonnegative().max(86_400_000);

const fileSchema = z.object({
  version: z.literal(1),
  cold_starts: z
    .array(
      z.object({
        model: z.string().min(1).max(1_024),
        host: z.string().min(1).max(1_024),
        cold_ms: milliseconds,
        warm_ms: milliseconds.optional(),
      }),
    )
    .max(keptMax),
});

export interface ColdStartsFileOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What loading models costs on each host, as it was learned by this process and the one before it. */
export interface KeptColdStarts {
  readonly coldStarts: ColdStarts;
  /** Writes what is left. */
  close(): Promise<void>;
}

/**
 * Takes up what the last process learned, and keeps what this one learns in a file: written behind, after a load was
 * seen, and at the end. A damaged file is put aside with one line in the log, and all is learned anew.
 */
export function openColdStarts({ path, clock, log }: ColdStartsFileOptions): KeptColdStarts {
  const render = () => `${JSON.stringify({ version: 1, cold_starts: toKeep(coldStarts) })}\n`;
  const file = new DurableFile({ path, clock, log, render, delayMs });
  const stored = file.load((text) => fileSchema.parse(JSON.parse(text)));
  const known = (stored?.cold_starts ?? []).map(({ model, host, cold_ms: coldMs, warm_ms: warmMs }) => ({
    model,
    host,
    coldMs,
    warmMs,
  }));
  const coldStarts = new ColdStarts(clock, known, () => file.touch());
  return { coldStarts, close: () => file.close() };
}

/** Where no load was seen there is nothing that would be missed: a first byte is soon measured again. */
function toKeep(coldStarts: ColdStarts): readonly object[] {
  return coldStarts
    .list()
    .flatMap(({ model, host, coldMs, warmMs }) =>
      coldMs === undefined ? [] : { model, host, cold_ms: coldMs, warm_ms: warmMs },
    )
    .slice(-keptMax);
}
