import { describeError, NexusError } from "../base/errors.ts";

/** SQLite's primary result code, https://sqlite.org/rescode.html; undefined when it is no error of SQLite's. */
export function sqliteCodeOf(error: unknown): number | undefined {
  const { errcode } = (error ?? {}) as { errcode?: unknown };
  return typeof errcode === "number" ? errcode & 0xff : undefined;
}

function sqlStateOf(error: unknown): string | undefined {
  const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown };
  return typeof code === "string" && severity !== undefined ? code : undefined;
}

/** Whether PostgreSQL itself refused a statement, so that its connection is still good. */
export function isServersAnswer(error: unknown): boolean {
  const state = sqlStateOf(error);
  // 57P01 to 57P03: it is shutting down or starting.
  return state !== undefined && !state.startsWith("57P");
}

/** ERROR, CONSTRAINT, MISMATCH, MISUSE, RANGE: the statement is wrong, not the database's state. */
const sqliteDefects: ReadonlySet<number> = new Set([1, 19, 20, 21, 25]);

/** A statement that can never work: wrong data (22), a broken rule (23), wrong SQL (42). */
function isDefect(error: unknown): boolean {
  const sqlite = sqliteCodeOf(error);
  if (sqlite !== undefined) return sqliteDefects.has(sqlite);
  return /^(22|23|42)/.test(sqlStateOf(error) ?? "") || error instanceof TypeError || error instanceof RangeError;
}

/** Says that the database is away; defects of Nexus, and what it says itself, stay as they are. */
export function toDatabaseError(error: unknown): unknown {
  if (error instanceof NexusError || isDefect(error)) return error;
  return new NexusError(
    "database_unavailable",
    "The database does not answer. Requests with known keys go on; this needs it.",
    { cause: error, detail: describeError(error), retryAfterSeconds: 2 },
  );
}
