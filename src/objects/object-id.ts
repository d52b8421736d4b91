import { randomBytes } from "node:crypto";

/** A new id with 128 random bits: nobody guesses another one's. `prefix` ends with what separates it, `file-` say. */
export function newObjectId(prefix: string): string {
  return `${prefix}${randomBytes(16).toString("hex")}`;
}
