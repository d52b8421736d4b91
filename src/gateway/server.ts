import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { toErrorBody } from "../base/error-body.ts";
import { NexusError } from "../base/errors.ts";
import { newRequestId } from "../base/ids.ts";
import { http } from "../base/node-http.ts";
import { headProblem } from "./check-head.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { serveUpgrade } from "./http/accept-upgrade.ts";
import { putFastFront } from "./http/fast-front.ts";
import {
  checkIntervalMs,
  connectionsMax,
  farewellMs,
  headersTimeoutMs,
  keepAliveMs,
  lingerMs,
  refusedBodyMs,
  requestTimeoutMs,
} from "./http/limits.ts";
import { NodeReply, NodeRequest } from "./node-client.ts";
import { serveExchange } from "./serve-exchange.ts";

export interface ListeningServer {
  /** `http://host:port`, with the port that the system chose. */
  readonly url: string;
  /**
   * Says with each answer that it is the last, takes no new connections after a moment, lets requests under way end for
   * up to `graceMs` from then on, and cuts them.
   */
  close(graceMs: number): Promise<void>;
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** Of a socket that is bound to the address already, and that other processes listen on too. */
  readonly descriptor?: number;
}

/**
 * The gateway's server: reads requests and hands each one to `serveExchange`. The common request is read by the fast
 * front; a connection with anything else on it goes to Node's own server, which is also the one that listens.
 */
export async function listen(parts: GatewayParts, address: ListenAddress): Promise<ListeningServer> {
  const server = createNodeServer(parts);
  const connections = trackConnections(server);
  const upgraded = trackUpgraded(server);
  const front = putFastFront(server, {
    clock: parts.clock,
    serve: (request, reply) => serveExchange(request, reply, parts),
    onHandOver: connections.add,
  });
  server.maxConnections = connectionsMax;
  if (address.descriptor === undefined) server.listen(address.port, address.host);
  else server.listen({ fd: address.descriptor });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return {
    url: `http://${host}:${port}`,
    async close(graceMs) {
      front.announceEnd();
      await pause(Math.min(farewellMs, graceMs));
      const closed = once(server, "close");
      server.close();
      front.closeWhenIdle();
      connections.closeWhenIdle();
      const timer = setTimeout(() => {
        front.destroy();
        server.closeAllConnections();
        for (const socket of upgraded) socket.destroy();
      }, graceMs);
      await closed;
      front.destroy();
      clearTimeout(timer);
    },
  };
}

function createNodeServer(parts: GatewayParts): Server {
  const take = (request: IncomingMessage, response: ServerResponse) => void handle(request, response, parts);
  const server = http().createServer(
    {
      headersTimeout: headersTimeoutMs,
      connectionsCheckingInterval: checkIntervalMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveMs,
      // Refused in `headProblem`, with an answer that explains it.
      requireHostHeader: false,
      // Java's client offers HTTP/2 with its first request, body and all: what is not taken up is an ordinary request.
      shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === "websocket",
    },
    take,
  );
  // Without a listener Node would ask for every body before anybody has looked at who sends it and how large it is.
  server.on("checkContinue", take);
  return server.on("upgrade", (request, socket, head) => void serveUpgrade(request, socket, head, parts));
}

/** Connections that left HTTP: Node's server waits for their end and does not know them. */
function trackUpgraded(server: Server): ReadonlySet<Duplex> {
  const upgraded = new Set<Duplex>();
  server.on("upgrade", (_request, socket) => {
    upgraded.add(socket);
    socket.once("close", () => upgraded.delete(socket));
  });
  return upgraded;
}

async function handle(request: IncomingMessage, response: ServerResponse, parts: GatewayParts): Promise<void> {
  const problem = headProblem(request.url ?? "", request.rawHeaders);
  await serveExchange(new NodeRequest(request, response), new NodeReply(response), parts, problem);
  if (!request.complete) dropUnreadBody(request, response);
}

/** Reads the rest of a request that was answered early and throws it away, but not for ever. */
function dropUnreadBody(request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  const timer = setTimeout(() => socket.destroy(), refusedBodyMs);
  timer.unref();
  const stop = () => clearTimeout(timer);
  response.req.once("end", stop);
  socket.once("close", stop);
  request.resume();
}

/** What the parser could not read at all gets an answer too, in the same shape. */
function refuseUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  const [status, message] =
    error.code === "HPE_HEADER_OVERFLOW"
      ? [431, "The headers are too large: 16 KiB at most."]
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? [408, "The request did not arrive in time."]
        : [400, "This is not a valid HTTP/1.1 request."];
  const body = JSON.stringify(toErrorBody(new NexusError("invalid_header", message)));
  const head = [
    `HTTP/1.1 ${status} ${http().STATUS_CODES[status]}`,
    `x-request-id: ${newRequestId()}`,
    "content-type: application/json; charset=utf-8",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
  // A client that keeps its half open would hold the connection for ever.
  setTimeout(() => socket.destroy(), lingerMs).unref();
}

/** Connections that Node's server reads, and which of them have a request under way. */
interface Connections {
  add(socket: Socket): void;
  /** Closes those without a request now, and every other one as soon as its request has ended. */
  closeWhenIdle(): void;
}

function trackConnections(server: Server): Connections {
  const busy = new Map<Socket, number>();
  let closing = false;
  const onRequest = ({ socket }: IncomingMessage, response: ServerResponse) => {
    busy.set(socket, (busy.get(socket) ?? 0) + 1);
    response.once("close", () => {
      const left = (busy.get(socket) ?? 1) - 1;
      if (busy.has(socket)) busy.set(socket, left);
      if (closing && left === 0) socket.destroySoon();
    });
  };
  server.on("request", onRequest).on("checkContinue", onRequest);
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    // In the middle of an answer a refusal would only be more of its body.
    if (!socket.writable || error.code === "ECONNRESET" || (busy.get(socket) ?? 0) > 0) socket.destroy();
    else refuseUnreadable(error, socket);
  });
  return {
    add(socket) {
      busy.set(socket, 0);
      socket.once("close", () => busy.delete(socket));
    },
    closeWhenIdle() {
      closing = true;
      for (const [socket, requests] of busy) if (requests === 0) socket.destroySoon();
    },
  };
}
