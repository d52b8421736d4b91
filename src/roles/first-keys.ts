import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { writeFileAtomic } from "../base/write-file-atomic.ts";
import type { KeyStore } from "../keys/key-store.ts";

/** Nobody types this by chance, so that it collides with no key of the operator's. */
const operatorKeyPrefix = "operator (verbs of ";

/** Platforms that share a database have a key each. */
function operatorKeyName(path: string): string {
  const place = createHash("sha256").update(path).digest("hex").slice(0, 8);
  return `${operatorKeyPrefix}${hostname().slice(0, 64)}, ${place})`;
}
const firstKeyName = "first";

/**
 * Makes the key that a first start shows, an admin's, because it is the operator who reads it. Undefined when a key was
 * ever made: then its owner has it. To be called when it is about to be shown, for it can't be shown again.
 */
export async function makeFirstKey(keys: KeyStore): Promise<string | undefined> {
  const records = await keys.list();
  if (records.some((record) => !record.name.startsWith(operatorKeyPrefix))) return undefined;
  return (await keys.create({ name: firstKeyName, role: "admin" })).key;
}

/**
 * Makes sure that the verbs of this machine have a key that works, in a file of mode 0600. Whoever can read it can open
 * the control socket as well: it gives nobody new rights.
 */
export async function ensureOperatorKey(keys: KeyStore, path: string): Promise<void> {
  const present = await readFile(path, "utf8").catch(() => "");
  if (present !== "" && (await keys.find(present.trim())) !== undefined) return;
  const ownName = operatorKeyName(path);
  const live = (await keys.list()).filter((record) => record.revoked_at === null);
  // Its file is gone or is an older one: nobody can use the key that is on record.
  for (const record of live.filter(({ name }) => name === ownName)) await keys.revoke(record.id);
  const { key } = await keys.create({ name: ownName, role: "admin" });
  await writeFileAtomic(path, `${key}\n`);
}
