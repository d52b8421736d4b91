import { closeSync, openSync } from "node:fs";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import { sqliteCodeOf } from "./database-error.ts";

export interface SqliteOptions {
  readonly path: string;
  /** How long a transaction waits for another process's to end. */
  readonly busyTimeoutMs: number;
  /** Whether a commit waits for the disk; without, a power cut may undo the last ones, and nothing else. */
  readonly isDurable: boolean;
}

/** Two processes that open a new file at once take turns in setting it up. */
const openTimeoutMs = 1_000;
/** Reads wait for nobody in WAL mode, but for the moment in which the log begins anew. */
const readTimeoutMs = 20;
/** Between two tries to begin a transaction. */
const busyRetryMs = 10;
/** SQLITE_BUSY, https://sqlite.org/rescode.html */
const busy = 5;

/** SQLite as it comes with Node. Queries run in this thread: they take microseconds, and none waits for a lock here. */
export function createSqliteDialect(options: SqliteOptions): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new SqliteDriver(options),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

class SqliteDriver implements Driver {
  readonly #options: SqliteOptions;
  #connection: SqliteConnection | undefined;

  constructor(options: SqliteOptions) {
    this.#options = options;
  }

  async init(): Promise<void> {
    this.#connection = new SqliteConnection(openFile(this.#options));
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#connection === undefined) throw new Error("the database is not open");
    return this.#connection;
  }

  /**
   * Takes the write lock at once, so that no transaction has to be undone in its middle. SQLite's own busy timeout would
   * stop the whole process while it waits: here only the transaction does.
   */
  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    const deadline = performance.now() + this.#options.busyTimeoutMs;
    for (;;) {
      try {
        await connection.executeQuery(CompiledQuery.raw("begin immediate"));
        return;
      } catch (error) {
        if (sqliteCodeOf(error) !== busy || performance.now() > deadline) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, busyRetryMs));
    }
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("commit"));
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("rollback"));
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {
    this.#connection?.close();
  }
}

class SqliteConnection implements DatabaseConnection {
  readonly #file: DatabaseSync;

  constructor(file: DatabaseSync) {
    this.#file = file;
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const statement = this.#file.prepare(sql);
    const values = parameters as readonly SQLInputValue[];
    if (statement.columns().length > 0) return { rows: statement.all(...values) as R[] };
    const { changes, lastInsertRowid } = statement.run(...values);
    return { numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid), rows: [] };
  }

  // biome-ignore lint/correctness/useYield: the interface wants a stream, and nothing here streams
  async *streamQuery(): AsyncIterableIterator<never> {
    throw new Error("queries are not streamed");
  }

  close(): void {
    this.#file.close();
  }
}

/** The file is its owner's alone from its first moment; what SQLite writes beside it takes its mode. */
function openFile({ path, isDurable }: SqliteOptions): DatabaseSync {
  closeSync(openSync(path, "a", 0o600));
  const file = new DatabaseSync(path, { timeout: openTimeoutMs });
  try {
    file.exec("pragma journal_mode = wal");
    file.exec(`pragma synchronous = ${isDurable ? "full" : "normal"}`);
    file.exec("pragma foreign_keys = on");
    file.exec(`pragma busy_timeout = ${readTimeoutMs}`);
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}
