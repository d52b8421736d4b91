import type { Server } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { ClientReply, ClientRequest } from "../client-io.ts";
import { type ConnectionHost, FastConnection } from "./fast-connection.ts";
import { checkIntervalMs } from "./limits.ts";

export interface FastFrontOptions {
  readonly clock: Clock;
  /** Serves one request. Never rejects. */
  readonly serve: (request: ClientRequest, reply: ClientReply) => Promise<void>;
  /** Told of every connection that goes to Node's reader. */
  readonly onHandOver: (socket: Socket) => void;
}

/** The connections on the fast path. */
export interface FastFront {
  /** Makes the next answer of each the last one. */
  announceEnd(): void;
  /** Closes those without a request now, and every other one as soon as its request has ended. */
  closeWhenIdle(): void;
  /** Cuts them all, and stops looking after time. */
  destroy(): void;
}

/**
 * Reads the common request in front of Node's HTTP server, at a third of its cost. It decides nothing: a connection
 * with anything on it that `readHead` does not take goes to Node's own reader, with every byte that was not used.
 * `server` still listens, counts its connections and closes.
 */
export function putFastFront(server: Server, { clock, serve, onHandOver }: FastFrontOptions): FastFront {
  const [readWithNode] = server.listeners("connection");
  if (readWithNode === undefined) throw new TypeError("Node's HTTP server has no reader of connections");
  const connections = new Set<FastConnection>();
  const host: ConnectionHost = {
    serve: (request, reply) => void serve(request, reply),
    handOver(socket, unread) {
      // Paused, or the bytes would be given out before Node listens for them.
      socket.pause();
      socket.unshift(unread);
      onHandOver(socket);
      readWithNode.call(server, socket);
      socket.resume();
    },
    now: () => clock.monotonic(),
    closed: (connection) => void connections.delete(connection),
  };
  let cancelCheck = (): void => {};
  const check = (): void => {
    const now = clock.monotonic();
    for (const connection of connections) connection.check(now);
    cancelCheck = clock.after(checkIntervalMs, check);
  };
  check();
  server.removeAllListeners("connection");
  server.on("connection", (socket: Socket) => void connections.add(new FastConnection(socket, host)));
  return {
    announceEnd() {
      for (const connection of connections) connection.announceEnd();
    },
    closeWhenIdle() {
      for (const connection of connections) connection.closeWhenIdle();
    },
    destroy() {
      cancelCheck();
      for (const { socket } of connections) socket.destroy();
    },
  };
}
