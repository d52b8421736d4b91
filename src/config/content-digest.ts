import { createHash } from "node:crypto";

/** What tells one content of a file from another. */
export function contentDigest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
