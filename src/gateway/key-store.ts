import { createHash, randomBytes } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import { writeFileAtomic } from "../base/write-file-atomic.ts";
import { describeIssues } from "../contract/parse.ts";

const roleSchema = z.enum(["user", "admin"]);
/** `user` may call models; `admin` may also run the platform through `/v1/nexus/*`. */
export type KeyRole = z.infer<typeof roleSchema>;

const keyRecordSchema = z.strictObject({
  id: z.string(),
  name: z.string().min(1).max(128),
  role: roleSchema,
  /** SHA-256 of the key. Keys are 256 random bits, so a slow password hash would add nothing. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  /** The first characters, so that its owner can tell it from others. */
  hint: z.string(),
  /** Chosen by somebody and easy to guess: good enough on this machine only. */
  is_weak: z.boolean().default(false),
  created_at: z.iso.datetime(),
  revoked_at: z.iso.datetime().nullable(),
});
/** What is kept of a key. The key itself is not. */
export type KeyRecord = z.infer<typeof keyRecordSchema>;

const fileSchema = z.strictObject({ version: z.literal(1), keys: z.array(keyRecordSchema).max(10_000) });

export interface NewKey {
  readonly name: string;
  readonly role: KeyRole;
  /** Default: 256 random bits. */
  readonly key?: string | undefined;
}

/** Creates, lists and revokes keys. One process writes (the control process); others read through `openKeyReader`. */
export interface KeyStore {
  /**
   * Makes a key, or takes one that clients have already. It is in the answer and nowhere else: it cannot be shown again.
   * @throws NexusError `conflict` when the name or the key is taken, `invalid_request` when the key cannot be one.
   */
  create(input: NewKey): Promise<{ key: string; record: KeyRecord }>;
  list(): Promise<readonly KeyRecord[]>;
  /** @throws NexusError `not_found` when no key has this id or name. */
  revoke(idOrName: string): Promise<KeyRecord>;
}

/** Finds out whose key it is. */
export interface KeyReader {
  /** The record of a live key, or undefined when it is unknown or revoked. */
  find(key: string): Promise<KeyRecord | undefined>;
  close(): void;
}

export function hashKey(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

/** Keys that examples and other tools come with; `sk-1234` is LiteLLM's. */
const defaultKeys: ReadonlySet<string> = new Set(["sk-1234", "sk-xxxx", "changeme", "change-me", "password", "secret"]);
/** 20 characters of a random key are about 120 bits; below, guessing becomes a matter of patience. */
const strongKeyCharactersMin = 20;
const strongKeyDistinctMin = 8;

/** Whether somebody could guess a key, or find it in an example. */
export function isWeakKey(key: string): boolean {
  const isDefault = [...defaultKeys].some((known) => key.toLowerCase().startsWith(known));
  return isDefault || key.length < strongKeyCharactersMin || new Set(key).size < strongKeyDistinctMin;
}

async function readKeys(path: string): Promise<KeyRecord[]> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new NexusError("internal_error", "The key file is no valid JSON; restore it from a backup.", { cause });
  }
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) {
    throw new NexusError("internal_error", "The key file is damaged; restore it from a backup.", {
      detail: describeIssues(parsed.error),
    });
  }
  return parsed.data.keys;
}

/** The store over a JSON file that holds hashes only. Changes are serialised and atomic. */
export function createKeyStore(options: { path: string; clock: Clock }): KeyStore {
  const { path, clock } = options;
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(run: () => Promise<T>): Promise<T> => {
    const next = last.then(run, run);
    last = next.catch(() => {});
    return next;
  };
  const write = (keys: readonly KeyRecord[]) =>
    writeFileAtomic(path, `${JSON.stringify({ version: 1, keys }, null, 2)}\n`);

  return {
    list: () => readKeys(path),
    create: (input) =>
      inTurn(async () => {
        const keys = await readKeys(path);
        const made = makeKey(input, clock);
        const live = keys.filter(({ revoked_at }) => revoked_at === null);
        if (live.some(({ name }) => name === input.name)) {
          throw new NexusError(
            "conflict",
            `A key named '${input.name}' exists: choose another name or revoke it first.`,
          );
        }
        if (keys.some(({ hash }) => hash === made.record.hash)) {
          throw new NexusError("conflict", "This key is in use already, or was and is revoked: choose another one.");
        }
        await write([...keys, made.record]);
        return made;
      }),
    revoke: (idOrName) =>
      inTurn(async () => {
        const keys = await readKeys(path);
        const found =
          keys.find((record) => record.id === idOrName) ??
          keys.find((record) => record.name === idOrName && record.revoked_at === null);
        if (found === undefined) throw new NexusError("not_found", `No key has the id or name '${idOrName}'.`);
        if (found.revoked_at !== null) return found;
        const revoked = { ...found, revoked_at: new Date(clock.now()).toISOString() };
        await write(keys.map((record) => (record === found ? revoked : record)));
        return revoked;
      }),
  };
}

function makeKey({ name, role, key: chosen }: NewKey, clock: Clock): { key: string; record: KeyRecord } {
  if (chosen !== undefined && !/^[\x21-\x7e]{8,256}$/.test(chosen)) {
    throw new NexusError("invalid_request", "A key has 8 to 256 visible ASCII characters and no spaces.", {
      param: "key",
    });
  }
  const key = chosen ?? `nxs_${randomBytes(32).toString("base64url")}`;
  const record = keyRecordSchema.parse({
    id: `key_${randomBytes(8).toString("hex")}`,
    name,
    role,
    hash: hashKey(key),
    hint: key.slice(0, chosen === undefined ? 8 : 3),
    is_weak: isWeakKey(key),
    created_at: new Date(clock.now()).toISOString(),
    revoked_at: null,
  });
  return { key, record };
}

/** How soon a revoked key stops working, in milliseconds. */
const recheckMs = 500;

/**
 * Reads the file again when it has changed: a new key works at once, a revoked one for at most half a second more. A
 * file that cannot be read leaves the last good keys in force, so that a full disk or a bad edit locks nobody out.
 */
export function openKeyReader(options: { path: string; clock: Clock; onProblem: (error: unknown) => void }): KeyReader {
  const { path, clock, onProblem } = options;
  let byHash = new Map<string, KeyRecord>();
  let version = "";
  let checkedAt = Number.NEGATIVE_INFINITY;
  let checking: Promise<void> | undefined;

  const check = async () => {
    checkedAt = clock.monotonic();
    try {
      const { mtimeNs, size, ino } = await stat(path, { bigint: true });
      const seen = `${ino}:${mtimeNs}:${size}`;
      if (seen === version) return;
      const keys = await readKeys(path);
      byHash = new Map(keys.filter((key) => key.revoked_at === null).map((key) => [key.hash, key]));
      version = seen;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") onProblem(error);
    }
  };
  const refresh = (): Promise<void> => {
    checking ??= check().finally(() => {
      checking = undefined;
    });
    return checking;
  };

  return {
    async find(key) {
      const hash = hashKey(key);
      if (clock.monotonic() - checkedAt > recheckMs) await refresh();
      const known = byHash.get(hash);
      if (known !== undefined) return known;
      // Perhaps it is newer than the last look, or than the look that is under way. One look at a time serves all.
      await checking;
      await refresh();
      return byHash.get(hash);
    },
    close() {
      byHash.clear();
    },
  };
}
