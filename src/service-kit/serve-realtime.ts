import { setMaxListeners } from "node:events";
import { type WebSocket, WebSocketServer } from "ws";
import type { Clock } from "../base/clock.ts";
import { NexusError, toNexusError } from "../base/errors.ts";
import { Conversation, closeCodes } from "./conversation.ts";
import type { Exchange, Upgrade } from "./exchange.ts";
import type { RealtimeHandler } from "./realtime.ts";

/** The protocol that the realtime API speaks. */
const protocol = "realtime";
/** One message; ten seconds of 24 kHz sound in base64 are 640 KB. */
const messageBytesMax = 16 * 1024 * 1024;

/**
 * The connection of a request that asks for a WebSocket, or an error that says how to ask.
 * @throws NexusError `upgrade_required`, `invalid_header`, `permission_denied` for pages: any page in a browser may open
 * WebSockets to any address, this machine's own included, but says then from which site it comes.
 */
export function wantedUpgrade({ request, response, upgrade }: Exchange): Upgrade {
  const { headers } = request;
  if (upgrade === undefined) {
    response.setHeader("upgrade", "websocket").setHeader("connection", "upgrade");
    throw new NexusError("upgrade_required", "Connect with a WebSocket: this operation speaks nothing else.");
  }
  const isHandshake =
    /^[+/0-9A-Za-z]{22}==$/.test(headers["sec-websocket-key"] ?? "") && headers["sec-websocket-version"] === "13";
  if (!isHandshake) throw new NexusError("invalid_header", "This is no WebSocket handshake of version 13.");
  if (headers.origin === undefined) return upgrade;
  throw new NexusError("permission_denied", "Pages in a browser may not connect here.");
}

/** What a conversation is held with. */
export interface Talk {
  readonly handler: RealtimeHandler;
  readonly model: string;
  readonly query: URLSearchParams;
  /** Aborts when the service takes no new work any more. */
  readonly draining: AbortSignal;
  readonly clock: Clock;
  readonly pingMs: number;
}

/**
 * Opens the WebSocket and holds the conversation to its end. Throws what ended it too early: the handler's failure, the
 * end of the time to drain, a client that was lost. A client that closes ends it as it should.
 */
export async function holdConversation(exchange: Exchange, upgrade: Upgrade, talk: Talk): Promise<void> {
  const { signal } = exchange;
  const client = await acceptHandshake(exchange, upgrade);
  const onClose = (code: number): void => {
    const isLost = code === closeCodes.lost;
    exchange.abort(isLost ? new NexusError("client_closed", "The client was lost in the conversation.") : closedWell);
  };
  const socket = new Conversation(client, { clock: talk.clock, pingMs: talk.pingMs, signal, onClose });
  const onDraining = (): void => socket.stopListening();
  if (talk.draining.aborted) onDraining();
  const onAbort = (): void => void socket.close(closeCodes.goingAway, goingAway);
  talk.draining.addEventListener("abort", onDraining, { once: true });
  signal.addEventListener("abort", onAbort, { once: true });
  // Every answer of a long conversation may listen to it.
  setMaxListeners(0, signal);
  try {
    await converse(exchange, socket, talk);
  } finally {
    talk.draining.removeEventListener("abort", onDraining);
    signal.removeEventListener("abort", onAbort);
    exchange.response.destroy();
  }
}

const goingAway = "The service shuts down.";
/** Aborts a conversation that has come to its regular end. */
const closedWell = new NexusError("client_closed", "The client ended the conversation.");

/** Runs the handler and closes the WebSocket with what came of it; it is over when nothing of it works any more. */
async function converse(exchange: Exchange, socket: Conversation, talk: Talk): Promise<void> {
  const { signal, requestId, trace, log, request } = exchange;
  const { handler, model, query, draining } = talk;
  const held = (async () => {
    await handler({ socket, model, query, headers: request.headers, signal, requestId, trace, log });
    await socket.settled();
  })();
  try {
    await Promise.race([held, socket.failure]);
    signal.throwIfAborted();
    if (draining.aborted) await socket.close(closeCodes.goingAway, goingAway);
    else await socket.close(closeCodes.done);
  } catch (thrown) {
    const error = signal.aborted ? signal.reason : thrown;
    if (!signal.aborted) await socket.refuse({}, toNexusError(error)).catch(() => {});
    const closing = socket.close(closeCodes.failed);
    // What still works for it stops now, and the closing that follows is no reason of its own any more.
    exchange.abort(toNexusError(error));
    await closing;
    await Promise.allSettled([held, socket.settled()]);
    if (error !== closedWell) throw error;
  }
}

/** Ends HTTP on the connection. Rejects with the signal's reason when the client leaves at that moment. */
async function acceptHandshake(exchange: Exchange, { socket, head, unwatch }: Upgrade): Promise<WebSocket> {
  const { request, response, signal } = exchange;
  signal.throwIfAborted();
  const handshakes = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: messageBytesMax,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(protocol) ? protocol : false),
  });
  const own = response.getHeaders();
  handshakes.on("headers", (lines) => {
    for (const [name, value] of Object.entries(own)) lines.push(`${name}: ${String(value)}`);
  });
  unwatch();
  response.statusCode = 101;
  response.detachSocket(request.socket);
  return await new Promise<WebSocket>((resolve, reject) => {
    const onGone = (): void => reject(new NexusError("client_closed", "The client left before the conversation."));
    socket.once("close", onGone);
    handshakes.handleUpgrade(request, socket, head, (client) => {
      socket.off("close", onGone);
      resolve(client);
    });
  });
}
