import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type * as Ws from "ws";
import type { WebSocket, WebSocketServer } from "ws";
import { NexusError } from "../../base/errors.ts";
import { loadLater } from "../../base/load-later.ts";
import { clientClosed } from "../../resilience/attempt-failure.ts";
import { headProblem } from "../check-head.ts";
import type { ClientUpgrade } from "../client-io.ts";
import type { GatewayParts } from "../gateway-parts.ts";
import { NodeRequest } from "../node-client.ts";
import { serveExchange } from "../serve-exchange.ts";
import { UpgradeReply } from "./upgrade-reply.ts";

/** One message; ten seconds of 24 kHz sound in base64 are 640 KB. */
const messageBytesMax = 16 * 1024 * 1024;
/** The protocol that the realtime API speaks. Others that clients offer carry keys and are never answered with. */
const protocol = "realtime";

const ws = loadLater<typeof Ws>("ws");
let handshakes: WebSocketServer | undefined;

function openHandshakes(): WebSocketServer {
  return new (ws().WebSocketServer)({
    noServer: true,
    maxPayload: messageBytesMax,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(protocol) ? protocol : false),
  });
}

/** Serves a request that asks to leave HTTP, as an exchange like every other one. */
export async function serveUpgrade(
  message: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  parts: GatewayParts,
): Promise<void> {
  const reply = new UpgradeReply(message, socket, head);
  const upgrade: ClientUpgrade = {
    accept: () => accept(message, socket, reply),
    endedWell: () => reply.endedWell(),
  };
  const request = new NodeRequest(message, undefined, upgrade);
  await serveExchange(request, reply, parts, headProblem(message.url ?? "", message.rawHeaders));
}

function accept(message: IncomingMessage, socket: Duplex, reply: UpgradeReply): Promise<WebSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<WebSocket>();
  const isHandshake =
    message.headers.upgrade?.toLowerCase() === "websocket" &&
    /^[+/0-9A-Za-z]{22}==$/.test(message.headers["sec-websocket-key"] ?? "") &&
    message.headers["sec-websocket-version"] === "13";
  if (socket.destroyed) {
    reject(clientClosed());
    return promise;
  }
  if (!isHandshake) {
    reject(new NexusError("invalid_request", "This is no WebSocket handshake of version 13."));
    return promise;
  }
  // What it does not like about the handshake, it answers by itself and closes; the client may leave as well.
  socket.once("close", () => reject(clientClosed()));
  handshakes ??= openHandshakes();
  handshakes.handleUpgrade(message, socket, reply.takeOver(), resolve);
  return promise;
}
