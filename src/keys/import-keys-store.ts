import { readFile, rename } from "node:fs/promises";
import type { Transaction } from "kysely";
import { z } from "zod";
import { NexusError } from "../base/errors.ts";
import { describeIssues } from "../contract/parse.ts";
import type { Database } from "../store/open-database.ts";
import type { Tables } from "../store/tables.ts";
import { defaultTenantId } from "./key-record.ts";
import { beginChange } from "./key-rows-store.ts";

const oldKeySchema = z.strictObject({
  id: z.string(),
  name: z.string().min(1).max(128),
  role: z.enum(["user", "admin"]),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  hint: z.string(),
  is_weak: z.boolean().default(false),
  created_at: z.iso.datetime(),
  revoked_at: z.iso.datetime().nullable(),
});
const oldFileSchema = z.strictObject({ version: z.literal(1), keys: z.array(oldKeySchema).max(10_000) });
type OldKey = z.output<typeof oldKeySchema>;

/**
 * Takes over `keys.json`, in which keys were kept before there was a database: they go on working, and the file is
 * renamed `keys.json.imported`. Done once; a crash in its middle repeats it without doubling a key.
 * @returns how many keys there were; undefined when there is no such file.
 * @throws NexusError `internal_error` when the file is damaged, `database_unavailable`.
 */
export async function importKeysFile(path: string, database: Database): Promise<number | undefined> {
  const keys = await readOldKeys(path);
  if (keys === undefined) return undefined;
  await database.write(async (transaction) => {
    const revision = await beginChange(transaction);
    for (const key of keys) await importKey(key, revision, transaction);
  });
  await rename(path, `${path}.imported`);
  return keys.length;
}

async function readOldKeys(path: string): Promise<readonly OldKey[] | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new NexusError("internal_error", "The key file is no valid JSON; restore it from a backup.", { cause });
  }
  const parsed = oldFileSchema.safeParse(value);
  if (parsed.success) return parsed.data.keys;
  throw new NexusError("internal_error", "The key file is damaged; restore it from a backup.", {
    detail: describeIssues(parsed.error),
  });
}

async function importKey(key: OldKey, revision: number, transaction: Transaction<Tables>): Promise<void> {
  const known = await transaction.selectFrom("key_secrets").select("hash").where("hash", "=", key.hash).execute();
  if (known.length > 0) return;
  const createdAt = Date.parse(key.created_at);
  const row = {
    id: key.id,
    name: await freeName(key, transaction),
    tenant_id: defaultTenantId,
    role: key.role,
    hint: key.hint,
    is_weak: key.is_weak ? (1 as const) : (0 as const),
    limits: "{}",
    created_at: createdAt,
    expires_at: null,
    revoked_at: key.revoked_at === null ? null : Date.parse(key.revoked_at),
    revision,
  };
  await transaction.insertInto("keys").values(row).execute();
  const secret = { hash: key.hash, key_id: key.id, created_at: createdAt, valid_until: null };
  await transaction.insertInto("key_secrets").values(secret).execute();
}

/** A key that was made since then may have taken the name. */
async function freeName({ id, name, revoked_at }: OldKey, transaction: Transaction<Tables>): Promise<string> {
  if (revoked_at !== null) return name;
  const taken = await transaction
    .selectFrom("keys")
    .select("id")
    .where("name", "=", name)
    .where("revoked_at", "is", null)
    .execute();
  return taken.length === 0 ? name : `${name.slice(0, 100)} (${id})`;
}
