import { hash, randomBytes } from "node:crypto";
import { NexusError } from "../base/errors.ts";

/** What a key is found by. */
export function hashKey(key: string): string {
  return hash("sha256", key, "hex");
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

/** A key and what is kept of it. */
export interface MadeSecret {
  readonly key: string;
  readonly hash: string;
  readonly hint: string;
  readonly isWeak: boolean;
}

/**
 * Makes a key of 256 random bits, or takes one that clients have already.
 * @throws NexusError `invalid_request` when the chosen key cannot be one.
 */
export function makeSecret(chosen?: string): MadeSecret {
  if (chosen !== undefined && !/^[\x21-\x7e]{8,256}$/.test(chosen)) {
    throw new NexusError("invalid_request", "A key has 8 to 256 visible ASCII characters and no spaces.", {
      param: "key",
    });
  }
  const key = chosen ?? `nxs_${randomBytes(32).toString("base64url")}`;
  return {
    key,
    hash: hashKey(key),
    hint: key.slice(0, chosen === undefined ? 8 : 3),
    isWeak: isWeakKey(key),
  };
}

/** `key_` or `ten_` and 16 hex digits. */
export function newId(prefix: "key" | "ten"): string {
  return `${prefix}_${randomBytes(8).toString("hex")}`;
}
