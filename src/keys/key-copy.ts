import { readFile } from "node:fs/promises";
import { z } from "zod";
import { writeFileAtomic } from "../base/write-file-atomic.ts";
import { keyRecordSchema, tenantRecordSchema } from "./key-record.ts";
import type { KeySnapshot } from "./key-snapshot-store.ts";

const copySchema = z.object({
  version: z.literal(1),
  revision: z.int(),
  keys: z.array(keyRecordSchema),
  tenants: z.array(tenantRecordSchema),
});

/** A gateway's last good keys on disk, by their hashes: with it a gateway can start while the database is away. */
export interface KeyCopy {
  /** Undefined when there is none, or none that can be read. */
  read(): Promise<KeySnapshot | undefined>;
  write(snapshot: KeySnapshot): Promise<void>;
}

export function createKeyCopy(path: string): KeyCopy {
  return {
    async read() {
      try {
        const { revision, keys, tenants } = copySchema.parse(JSON.parse(await readFile(path, "utf8")));
        return { revision, isWhole: true, keys, tenants };
      } catch {
        return undefined;
      }
    },
    write: ({ revision, keys, tenants }) =>
      writeFileAtomic(path, `${JSON.stringify({ version: 1, revision, keys, tenants })}\n`),
  };
}
