import type { RawData, WebSocket } from "ws";
import { type Usage, usageOf } from "../openai/usage.ts";

/** A side that has not read this much yet is waited for. */
const bufferedBytesMax = 1024 * 1024;
/** How often a side that is waited for is looked at. */
const drainCheckMs = 20;
/** Nothing but a live connection answers a ping; one that misses two in a row is gone. */
const pingMs = 15_000;

/** How a conversation over two sockets ended. */
export interface RelayEnd {
  /** `client`: the client closed it. `service`: the service did. `gone`: the client was lost. `broken`: the service was. */
  readonly by: "client" | "service" | "gone" | "broken";
  readonly usage: Usage | undefined;
}

/** What the client is told when its service is lost in the middle. */
const lostEvent = JSON.stringify({
  type: "error",
  error: {
    type: "server_error",
    code: "backend_disconnected",
    message: "The instance was lost in the middle of the conversation. Connect again to go on elsewhere.",
    param: null,
    event_id: null,
  },
});

/** Passes messages between a client and a service, each at the speed of its reader, until one of them ends it. */
export function relaySockets(
  client: WebSocket,
  service: WebSocket,
  onBytes: (bytes: number) => void,
): Promise<RelayEnd> {
  const { promise, resolve } = Promise.withResolvers<RelayEnd>();
  let usage: Usage | undefined;
  let by: RelayEnd["by"] | undefined;
  const end = (who: RelayEnd["by"]) => {
    by ??= who;
    stopPings();
    resolve({ by, usage });
  };
  pass(client, service, () => {});
  pass(service, client, (data, isBinary) => {
    onBytes(byteLength(data));
    if (!isBinary) usage = addUsage(usage, readUsage(data));
  });
  const stopPings = pingBoth(client, service);
  client.on("close", (code, reason) => {
    const isLost = code === lost;
    end(isLost ? "gone" : "client");
    closeWith(service, isLost ? goingAway : code, reason);
  });
  service.on("close", (code, reason) => {
    const isLost = code === lost;
    if (by === undefined && isLost && client.readyState === client.OPEN) client.send(lostEvent);
    end(isLost ? "broken" : "service");
    closeWith(client, isLost ? 1011 : code, reason);
  });
  for (const socket of [client, service]) socket.on("error", () => socket.terminate());
  service.resume();
  return promise;
}

function pass(from: WebSocket, to: WebSocket, observe: (data: RawData, isBinary: boolean) => void): void {
  from.on("message", (data, isBinary) => {
    observe(data, isBinary);
    if (to.readyState !== to.OPEN) return;
    to.send(data, { binary: isBinary });
    if (to.bufferedAmount <= bufferedBytesMax) return;
    from.pause();
    const look = setInterval(() => {
      if (to.readyState === to.OPEN && to.bufferedAmount > bufferedBytesMax) return;
      clearInterval(look);
      from.resume();
    }, drainCheckMs);
  });
}

/** What a side reports that heard no closing words (RFC 6455, 7.4.1), and what is said of it to the other side. */
const lost = 1006;
const goingAway = 1001;
/** Codes that only an end of a connection may report, never send (RFC 6455, 7.4.1). */
const unsendable: ReadonlySet<number> = new Set([1004, 1005, lost, 1015]);

function closeWith(socket: WebSocket, code: number, reason: Buffer): void {
  if (socket.readyState === socket.CLOSED) return;
  if (unsendable.has(code)) socket.close(1000);
  else socket.close(code, reason);
}

function pingBoth(...sockets: readonly WebSocket[]): () => void {
  const missed = new Map(sockets.map((socket) => [socket, 0]));
  for (const socket of sockets) socket.on("pong", () => missed.set(socket, 0));
  const timer = setInterval(() => {
    for (const socket of sockets) {
      const count = missed.get(socket) ?? 0;
      if (count >= 2) socket.terminate();
      else if (socket.readyState === socket.OPEN) socket.ping();
      missed.set(socket, count + 1);
    }
  }, pingMs);
  return () => clearInterval(timer);
}

function byteLength(data: RawData): number {
  return Array.isArray(data) ? data.reduce((sum, part) => sum + part.length, 0) : data.byteLength;
}

/** `response.done` carries what an answer cost; sessions add them up. */
function addUsage(sum: Usage | undefined, more: Partial<Usage> | undefined): Usage | undefined {
  if (more === undefined) return sum;
  return {
    promptTokens: (sum?.promptTokens ?? 0) + (more.promptTokens ?? 0),
    completionTokens: (sum?.completionTokens ?? 0) + (more.completionTokens ?? 0),
  };
}

function readUsage(data: RawData): Partial<Usage> | undefined {
  const text = data.toString();
  if (!text.includes('"response.done"')) return undefined;
  try {
    return usageOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}
