import { createServer, type IncomingMessage, type Server, ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../base/clock.ts";
import { toErrorBody } from "../base/error-body.ts";
import { NexusError, toNexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { type Arrival, type Exchange, logCompletion, openExchange } from "./exchange.ts";
import { discardBody } from "./read-body.ts";
import { matchRoute, pathOf, type Route } from "./routes.ts";
import { sendError, stalledReaderMs } from "./send-response.ts";

export interface HttpServerOptions {
  readonly routes: readonly Route[];
  readonly log: Logger;
  readonly clock: Clock;
  /** Bytes of an unwanted body that are still read, so that its sender gets to see the answer. */
  readonly discardBytesMax: number;
  /** Called once for every exchange, after its last byte. */
  readonly onComplete: (exchange: Exchange, status: number) => void;
}

/** A server and what is going on in it. Not listening yet. */
export interface HttpServer {
  readonly server: Server;
  readonly exchanges: ReadonlySet<Exchange>;
  /** Resolves as soon as no exchange is open. */
  whenIdle(): Promise<void>;
}

/** Slow senders of headers are cut off after 10 s, and a body has to be complete after 5 minutes. */
const timeouts = {
  headersTimeout: 10_000,
  requestTimeout: 300_000,
  /** Above the idle time of any usual connection pool, so that the client's side closes first. */
  keepAliveTimeout: 75_000,
  connectionsCheckingInterval: 2_000,
} as const;

/** How long the rest of an unwanted body may keep coming. */
const discardMs = 2_000;

/** Node's own HTTP server with one life for every request: open, match, serve, render the error, record. */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  const exchanges = new Set<Exchange>();
  const busy = new WeakSet<Socket>();
  let waiting: (() => void)[] = [];
  const handle = (arrival: Arrival): void => {
    const { request } = arrival;
    const exchange = openExchange(arrival, options.log, options.clock);
    exchanges.add(exchange);
    busy.add(request.socket);
    void serve(exchange, options).finally(() => {
      exchanges.delete(exchange);
      busy.delete(request.socket);
      if (exchanges.size > 0) return;
      for (const resolve of waiting) resolve();
      waiting = [];
    });
  };
  const take = (request: IncomingMessage, response: ServerResponse): void => handle({ request, response });
  // What is not taken up is an ordinary request: Java's client offers HTTP/2 with its first one, body and all.
  const shouldUpgradeCallback = ({ method, url, headers }: IncomingMessage): boolean =>
    headers.upgrade?.toLowerCase() === "websocket" &&
    options.routes.some((route) => route.isSocket === true && route.method === method && route.path === pathOf(url));
  const server = createServer({ ...timeouts, shouldUpgradeCallback }, take);
  // Without a listener Node asks for the body before anybody has looked at the headers.
  server.on("checkContinue", take);
  server.on("upgrade", (request, socket, head) => handle(arrivalOf(request, socket, head)));
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    // In the middle of an answer an error page would only be more of its body.
    if (!socket.writable || error.code === "ECONNRESET" || busy.has(socket as Socket)) socket.destroy();
    else socket.end(renderRawError(toProtocolError(error)));
  });
  const whenIdle = async (): Promise<void> => {
    if (exchanges.size > 0) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  return { server, exchanges, whenIdle };
}

/** A request for a WebSocket, which Node hands over without a response: whatever refuses it answers as always. */
function arrivalOf(request: IncomingMessage, socket: Duplex, head: Buffer): Arrival {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(request.socket);
  response.once("finish", () => request.socket.destroySoon());
  // Whoever says no more while it waits for a slot has left.
  const leave = (): void => void socket.destroy();
  socket.on("error", () => {}).on("end", leave);
  return { request, response, upgrade: { socket, head, unwatch: () => void socket.off("end", leave) } };
}

/** Serves one exchange; the only catch and the only completion record. */
async function serve(exchange: Exchange, options: HttpServerOptions): Promise<void> {
  let failure: unknown;
  try {
    await route(exchange, options.routes).serve(exchange);
  } catch (thrown) {
    failure = exchange.signal.aborted ? exchange.signal.reason : thrown;
    await answerError(exchange, toNexusError(failure), options);
  }
  await closed(exchange.response);
  options.onComplete(exchange, logCompletion(exchange, failure));
}

function route(exchange: Exchange, routes: readonly Route[]): Route {
  const { request, response, notes } = exchange;
  const path = pathOf(request.url);
  const match = matchRoute(routes, request.method ?? "", path);
  if (match.kind === "route") {
    notes.operation = match.route.operation;
    notes.isProbe = match.route.isProbe === true;
    return match.route;
  }
  const shown = JSON.stringify(path.slice(0, 100));
  if (match.kind === "unknown") throw new NexusError("unknown_url", `Nothing lives under ${shown}.`);
  response.setHeader("allow", match.allowed.join(", "));
  throw new NexusError("method_not_allowed", `${shown} is asked with ${match.allowed.join(" or ")}.`);
}

async function answerError(exchange: Exchange, error: NexusError, options: HttpServerOptions): Promise<void> {
  const { request, response } = exchange;
  if (response.headersSent || response.destroyed) return;
  if (!request.complete && announcesBody(request)) {
    // What is not read can be no part of the next request: the connection ends with this answer.
    response.setHeader("connection", "close");
    const isAsking = request.headers.expect !== undefined;
    const isHuge = Number(request.headers["content-length"] ?? 0) > 2 * options.discardBytesMax;
    if (!isAsking && !isHuge) await discardBody(request, options.discardBytesMax, deadline(options.clock, discardMs));
    if (response.destroyed) return;
  }
  sendError(response, error);
}

function announcesBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

function deadline(clock: Clock, ms: number): AbortSignal {
  const controller = new AbortController();
  clock.after(ms, () => controller.abort());
  return controller.signal;
}

/** The exchange lasts until its bytes are with the operating system or its connection is gone. */
async function closed(response: ServerResponse): Promise<void> {
  if (response.closed || response.destroyed) return;
  response.setTimeout(stalledReaderMs, () => response.destroy());
  await new Promise<void>((resolve) => response.once("close", resolve));
}

function toProtocolError(error: NodeJS.ErrnoException): NexusError {
  if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return new NexusError("request_timeout", "The request was not complete in time.");
  }
  if (error.code === "HPE_HEADER_OVERFLOW") return new NexusError("invalid_header", "The headers are too large.");
  return new NexusError("invalid_header", "This is not a valid HTTP/1.1 request.");
}

/** The error answer to what never became a request. */
function renderRawError(error: NexusError): string {
  const body = JSON.stringify(toErrorBody(error));
  return [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
    "",
    body,
  ].join("\r\n");
}
