import type { KeyRecord } from "./key-record.ts";

/** Whether the secret of this hash opens the key at a moment. */
export function isLive({ revoked_at, expires_at, secrets }: KeyRecord, hash: string, nowMs: number): boolean {
  const isOver = (moment: string | null) => moment !== null && Date.parse(moment) <= nowMs;
  const secret = secrets.find((one) => one.hash === hash);
  return secret !== undefined && revoked_at === null && !isOver(expires_at) && !isOver(secret.valid_until);
}
