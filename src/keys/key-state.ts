import type { KeyRecord } from "./key-record.ts";

/** Whether the key works, with whichever of its secrets. */
export function isKeyLive({ revoked_at, expires_at }: KeyRecord, nowMs: number): boolean {
  return revoked_at === null && !isOver(expires_at, nowMs);
}

/** Whether the secret of this hash opens the key at a moment. */
export function isLive(record: KeyRecord, hash: string, nowMs: number): boolean {
  const secret = record.secrets.find((one) => one.hash === hash);
  return secret !== undefined && isKeyLive(record, nowMs) && !isOver(secret.valid_until, nowMs);
}

function isOver(moment: string | null, nowMs: number): boolean {
  return moment !== null && Date.parse(moment) <= nowMs;
}
