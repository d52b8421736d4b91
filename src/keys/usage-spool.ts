import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { identify, isAlive } from "../base/process-identity.ts";
import { writeFileAtomic } from "../base/write-file-atomic.ts";
import type { UsageBatch } from "./usage.ts";

const count = z.int().nonnegative();
const rowSchema = z.strictObject({
  day: z.string().regex(/^\d{4}-\d\d-\d\d$/),
  key_id: z.string(),
  tenant_id: z.string(),
  model: z.string(),
  operation: z.string(),
  requests: count,
  errors: count,
  prompt_tokens: count,
  completion_tokens: count,
  cost_micro_usd: count,
});
const spoolSchema = z.strictObject({
  version: z.literal(1),
  /** The process that writes it. While it lives, its batches may still grow. */
  owner: z.strictObject({ pid: z.int(), startTime: z.string() }).nullable(),
  batches: z.array(z.strictObject({ recorder: z.string(), number: z.int().positive(), rows: z.array(rowSchema) })),
});

/** What a process that is gone has left. */
export interface LeftBatches {
  readonly batches: readonly UsageBatch[];
  /** To be called when they are in the database. */
  remove(): Promise<void>;
}

/** Usage on disk while the database is away: one file a writer, replaced as a whole. */
export interface UsageSpool {
  /** Replaces what this writer keeps; nothing when there are no batches. */
  write(batches: readonly UsageBatch[]): Promise<void>;
  /** Of processes that no longer run. What can't be read is put aside and told of. */
  leftBehind(onDamaged: (path: string) => void): Promise<readonly LeftBatches[]>;
}

export function createUsageSpool(directory: string, recorder: string): UsageSpool {
  const own = join(directory, `${recorder}.json`);
  const owner = identify(process.pid) ?? null;
  let isWritten = false;
  return {
    async write(batches) {
      if (batches.length === 0) {
        if (isWritten) await rm(own, { force: true });
        isWritten = false;
        return;
      }
      await mkdir(directory, { recursive: true, mode: 0o700 });
      isWritten = true;
      await writeFileAtomic(own, `${JSON.stringify({ version: 1, owner, batches })}\n`);
    },
    async leftBehind(onDamaged) {
      const names = await readdir(directory).catch(() => []);
      const left: LeftBatches[] = [];
      for (const name of names.filter((one) => one.endsWith(".json"))) {
        const path = join(directory, name);
        if (path === own) continue;
        const found = await readSpool(path, onDamaged);
        if (found === undefined || (found.owner !== null && isAlive(found.owner))) continue;
        left.push({ batches: found.batches, remove: () => rm(path, { force: true }) });
      }
      return left;
    },
  };
}

async function readSpool(path: string, onDamaged: (path: string) => void) {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    // Another process was faster.
    return undefined;
  }
  try {
    return spoolSchema.parse(JSON.parse(text));
  } catch {
    await rename(path, `${path}.damaged`).catch(() => {});
    onDamaged(`${path}.damaged`);
    return undefined;
  }
}
