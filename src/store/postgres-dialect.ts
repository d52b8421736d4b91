import { Socket } from "node:net";
import { type Dialect, PostgresDialect, type PostgresPoolClient } from "kysely";
import { Pool, type PoolClient, types } from "pg";
import { describeError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { isServersAnswer } from "./database-error.ts";

/** Connections of one process: reads and writes are short, and PostgreSQL allows a hundred in all. */
const connectionsMax = 4;
const connectTimeoutMs = 2_000;
/** By the server; the client gives up a little later, for the server may be frozen. */
const statementTimeoutMs = 4_000;
const answerTimeoutMs = 5_000;
/** A process that stops in the middle of a transaction must not hold its locks. */
const idleTransactionMs = 10_000;
const idleMs = 30_000;
const closeTimeoutMs = 1_000;

/** `int8` and `numeric`, https://www.postgresql.org/docs/current/catalog-pg-type.html. Sums stay below 2^53. */
const numberTypes: ReadonlySet<number> = new Set([20, 1700]);

/** PostgreSQL through a bounded pool in which everything ends: connecting, waiting for an answer, closing. */
export function createPostgresDialect(url: string, log: Logger): Dialect {
  const sockets = new Set<Socket>();
  const pool = new Pool({
    connectionString: url,
    max: connectionsMax,
    connectionTimeoutMillis: connectTimeoutMs,
    idleTimeoutMillis: idleMs,
    statement_timeout: statementTimeoutMs,
    query_timeout: answerTimeoutMs,
    idle_in_transaction_session_timeout: idleTransactionMs,
    application_name: "nexus",
    keepAlive: true,
    allowExitOnIdle: true,
    types: {
      getTypeParser: (id: number, format?: "text" | "binary") =>
        numberTypes.has(id) ? Number : types.getTypeParser(id, format as "text"),
    },
    stream: () => openSocket(sockets),
  });
  // Of connections that nobody uses at that moment: the next query opens another.
  pool.on("error", (error) => log.debug({ reason: describeError(error) }, "a connection to the database ended"));
  return new PostgresDialect({
    pool: {
      options: {},
      connect: async () => guard(await pool.connect()),
      async end() {
        const cut = setTimeout(() => {
          for (const socket of sockets) socket.destroy();
        }, closeTimeoutMs);
        await pool.end();
        clearTimeout(cut);
      },
    },
  });
}

function openSocket(sockets: Set<Socket>): Socket {
  const socket = new Socket();
  sockets.add(socket);
  socket.once("close", () => sockets.delete(socket));
  return socket;
}

/** A connection on which something else went wrong than a statement is not used again. */
function guard(client: PoolClient): PostgresPoolClient {
  let broken: unknown;
  // The pool listens while nobody uses it. Without a listener a connection that breaks in a transaction ends the process.
  const onError = (error: unknown) => {
    broken ??= error;
  };
  client.on("error", onError);
  const query = async (text: string, parameters: readonly unknown[]) => {
    if (broken !== undefined) throw broken;
    try {
      return await client.query(text, [...parameters]);
    } catch (error) {
      if (!isServersAnswer(error)) broken = error;
      throw error;
    }
  };
  return {
    query: query as unknown as PostgresPoolClient["query"],
    release() {
      client.off("error", onError);
      client.release(broken !== undefined);
    },
  };
}
