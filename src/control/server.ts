import { lstatSync, mkdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import fastify, { type FastifyError, type FastifyInstance } from "fastify";
import { toErrorBody } from "../base/error-body.ts";
import { NexusError, toNexusError } from "../base/errors.ts";
import { requestIdFrom } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";

/** Adds the operations of one room, all below `/v1/nexus`. */
export type ControlRoutes = (server: FastifyInstance) => void;

export interface ControlServerOptions {
  readonly socketPath: string;
  readonly routes: readonly ControlRoutes[];
  readonly log: Logger;
}

/** The control API on its Unix socket. */
export interface ControlServer {
  /** Ends open event streams too, and removes the socket. */
  close(): Promise<void>;
}

/** A registry record is at most 1 MiB; this leaves room for its envelope. */
const bodyBytesMax = 2 * 1024 * 1024;

/**
 * Listens on the socket, which only this user can open: mode 0600 in a directory of mode 0700. What a crashed platform
 * left there is removed, once it is certain that nobody answers on it.
 * @throws NexusError `conflict` when another process answers on the socket.
 */
export async function startControlServer({ socketPath, routes, log }: ControlServerOptions): Promise<ControlServer> {
  prepareDirectory(dirname(socketPath));
  await removeStaleSocket(socketPath);
  const server = fastify({
    bodyLimit: bodyBytesMax,
    forceCloseConnections: true,
    genReqId: (request) => requestIdFrom(request.headers["x-request-id"]?.toString()),
    // Only the operator and the gateway connect; a slow one of them harms nobody.
    requestTimeout: 60_000,
  });
  answerErrors(server, log);
  for (const mount of routes) mount(server);
  await server.ready();
  await listen(server, socketPath);
  return {
    async close() {
      await server.close();
      rmSync(socketPath, { force: true });
    },
  };
}

/** A directory under the system's temporary one may have been made by somebody else who waits for us there. */
function prepareDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(directory);
  if (uid !== process.getuid?.() || (mode & 0o002) !== 0) {
    throw new NexusError(
      "conflict",
      `${directory} belongs to another user or everybody may write to it. Give the platform a directory of its own with --data.`,
    );
  }
}

async function removeStaleSocket(path: string): Promise<void> {
  if (await answers(path)) {
    throw new NexusError(
      "conflict",
      `Another process answers on ${path}. Stop it with \`nexus down\`, or use another --data.`,
    );
  }
  rmSync(path, { force: true });
}

function answers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.on("connect", () => resolve(true));
  // Refused is nobody; anything else, such as a full queue, may be somebody.
  socket.on("error", ({ code }: NodeJS.ErrnoException) => resolve(code !== "ECONNREFUSED" && code !== "ENOENT"));
  return promise.finally(() => socket.destroy());
}

/** The socket is made by `bind` with the process's umask, so that it is private from its first moment on. */
async function listen(server: FastifyInstance, path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.server.once("error", reject);
  const umask = process.umask(0o177);
  try {
    server.server.listen(path, resolve);
  } finally {
    process.umask(umask);
  }
  await promise;
  server.server.off("error", reject);
}

function answerErrors(server: FastifyInstance, log: Logger): void {
  server.setErrorHandler((thrown, request, reply) => {
    const error = fromFastify(thrown);
    const fields = { request_id: request.id, method: request.method, path: request.url, code: error.code };
    if (error.status >= 500) log.error({ ...fields, detail: error.detail }, "control request failed");
    else log.debug({ ...fields, reason: error.message }, "control request refused");
    if (error.retryAfterSeconds !== undefined) reply.header("retry-after", String(error.retryAfterSeconds));
    return reply.status(error.status).send(toErrorBody(error));
  });
  server.setNotFoundHandler((request) => {
    throw new NexusError("unknown_url", `The control API has no ${request.method} ${request.url.split("?")[0]}.`);
  });
  server.addHook("onSend", async (request, reply) => {
    reply.header("x-request-id", request.id);
  });
}

function fromFastify(thrown: unknown): NexusError {
  const { code, statusCode = 500 } = thrown as Partial<FastifyError>;
  if (thrown instanceof NexusError || code?.startsWith("FST_") !== true || statusCode >= 500)
    return toNexusError(thrown);
  if (statusCode === 413) return new NexusError("request_too_large", "The body is larger than the control API reads.");
  if (statusCode === 415) return new NexusError("unsupported_media_type", "The control API reads application/json.");
  return new NexusError("invalid_json", "The body is not valid JSON.");
}
