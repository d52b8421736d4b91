import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { toErrorBody } from "../base/error-body.ts";
import { NexusError } from "../base/errors.ts";
import { newRequestId } from "../base/ids.ts";
import { headProblem } from "./check-head.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { NodeReply, NodeRequest } from "./node-client.ts";
import { serveExchange } from "./serve-exchange.ts";

/** A slow sender of headers is dropped after 10 to 12 s; Node's own default is 60 s. */
const headersTimeoutMs = 10_000;
const connectionsCheckingIntervalMs = 2_000;
/** For a whole request to arrive; big images over slow links take their time. */
const requestTimeoutMs = 300_000;
/** Longer than the 60 s after which common proxies close, so that they close first and no request meets a dead end. */
const keepAliveTimeoutMs = 65_000;
const connectionsMax = 10_000;
/** How long the rest of a refused request is read, so that its sender gets to see the answer. */
const refusedBodyMs = 5_000;
/** How long a connection stays after a request that could not be read, for its sender to read why. */
const refusedLingerMs = 1_000;

export interface ListeningServer {
  /** `http://host:port`, with the port that the system chose. */
  readonly url: string;
  /** Takes no new connections, lets requests under way end for up to `graceMs`, then cuts them. */
  close(graceMs: number): Promise<void>;
}

/** The gateway's server: reads requests and hands each one to `serveExchange`. */
export async function listen(parts: GatewayParts, address: { host: string; port: number }): Promise<ListeningServer> {
  const server = createServer(
    {
      headersTimeout: headersTimeoutMs,
      connectionsCheckingInterval: connectionsCheckingIntervalMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      // Refused below with an answer that explains it.
      requireHostHeader: false,
    },
    (request, response) => void handle(request, response, parts),
  );
  // Without a listener Node would ask for every body before anybody has looked at who sends it and how large it is.
  server.on(
    "checkContinue",
    (request: IncomingMessage, response: ServerResponse) => void handle(request, response, parts),
  );
  const connections = trackConnections(server);
  server.maxConnections = connectionsMax;
  server.on("clientError", refuseUnreadable);
  server.listen(address.port, address.host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return { url: `http://${host}:${port}`, close: (graceMs) => closeServer(server, connections, graceMs) };
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
function refuseUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const [status, message] =
    error.code === "HPE_HEADER_OVERFLOW"
      ? [431, "The headers are too large: 16 KiB at most."]
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? [408, "The request did not arrive in time."]
        : [400, "This is not a valid HTTP/1.1 request."];
  const body = JSON.stringify(toErrorBody(new NexusError("invalid_header", message)));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `x-request-id: ${newRequestId()}`,
    "content-type: application/json; charset=utf-8",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
  // A client that keeps its half open would hold the connection for ever.
  setTimeout(() => socket.destroy(), refusedLingerMs).unref();
}

/** Which connections have a request under way. Node counts a connection that never sent one as busy. */
interface Connections {
  /** Closes those without a request now, and every other one as soon as its request has ended. */
  closeWhenIdle(): void;
}

function trackConnections(server: Server): Connections {
  const busy = new Map<Socket, number>();
  let closing = false;
  server.on("connection", (socket: Socket) => {
    busy.set(socket, 0);
    socket.once("close", () => busy.delete(socket));
  });
  const onRequest = ({ socket }: IncomingMessage, response: ServerResponse) => {
    busy.set(socket, (busy.get(socket) ?? 0) + 1);
    response.once("close", () => {
      const left = (busy.get(socket) ?? 1) - 1;
      if (busy.has(socket)) busy.set(socket, left);
      if (closing && left === 0) socket.destroySoon();
    });
  };
  server.on("request", onRequest).on("checkContinue", onRequest);
  return {
    closeWhenIdle() {
      closing = true;
      for (const [socket, requests] of busy) if (requests === 0) socket.destroySoon();
    },
  };
}

async function closeServer(server: Server, connections: Connections, graceMs: number): Promise<void> {
  const closed = once(server, "close");
  server.close();
  connections.closeWhenIdle();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
}
