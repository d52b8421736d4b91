import { Kysely, type Transaction } from "kysely";
import type { Logger } from "../base/logger.ts";
import { isPostgresUrl } from "./config.ts";
import { toDatabaseError } from "./database-error.ts";
import { migrate } from "./migrate.ts";
import { createSqliteDialect } from "./sqlite-dialect.ts";
import type { Tables } from "./tables.ts";

/**
 * What must last. It may be away at any time, also when it is opened: a call fails then within seconds with
 * `database_unavailable`, and the next one tries again. The schema is brought up to date before the first call.
 */
export interface Database {
  /** @throws NexusError `database_unavailable`. */
  read<T>(run: (db: Kysely<Tables>) => Promise<T>): Promise<T>;
  /**
   * All that `run` does, or nothing of it. When the connection breaks at the very end it is unknown which.
   * @throws NexusError `database_unavailable`.
   */
  write<T>(run: (db: Transaction<Tables>) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /**
   * `sqlite:PATH` or `postgres://...`. May hold a password: it is asked for when the database is first used and, as
   * whoever knows it may be away, again until it was answered.
   */
  readonly url: () => Promise<string>;
  /** For SQLite: whether a write has reached the disk when it is done. Keys want that; usage may lose its last second. */
  readonly isDurable: boolean;
  readonly log: Logger;
}

/** For SQLite: another process's transaction ends within milliseconds, unless that process is stopped in its middle. */
const busyTimeoutMs = 2_000;

/** Opens nothing yet: the first call does. */
export function openDatabase({ url, isDurable, log }: DatabaseOptions): Database {
  let opening: Promise<Kysely<Tables>> | undefined;
  let isClosed = false;
  const open = async () => {
    if (isClosed) throw new Error("the database was closed");
    const address = await url();
    const isPostgres = isPostgresUrl(address);
    // Its client takes as long to load as everything else of SQLite's.
    const dialect = isPostgres
      ? (await import("./postgres-dialect.ts")).createPostgresDialect(address, log)
      : createSqliteDialect({ path: address.replace(/^sqlite:/, ""), busyTimeoutMs, isDurable });
    const db = new Kysely<Tables>({ dialect });
    try {
      await migrate(db as unknown as Kysely<unknown>, isPostgres ? "postgres" : "sqlite");
      return db;
    } catch (error) {
      await db.destroy();
      throw error;
    }
  };
  const use = async <T>(run: (db: Kysely<Tables>) => Promise<T>): Promise<T> => {
    try {
      opening ??= open().catch((error: unknown) => {
        opening = undefined;
        throw error;
      });
      return await run(await opening);
    } catch (error) {
      throw toDatabaseError(error);
    }
  };
  return {
    read: use,
    write: (run) => use((db) => db.transaction().execute(run)),
    async close() {
      isClosed = true;
      const db = await opening?.catch(() => undefined);
      await db?.destroy();
    },
  };
}
