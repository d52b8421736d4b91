import type { Exchange } from "./exchange.ts";

/** Sends one of the platform's own answers. */
export function sendJson(exchange: Exchange, status: number, value: unknown): void {
  send(exchange, status, "application/json; charset=utf-8", JSON.stringify(value));
}

export function send(exchange: Exchange, status: number, contentType: string, text: string): void {
  const body = Buffer.from(text);
  exchange.firstByteAt = exchange.clock.monotonic();
  exchange.bytesOut += body.length;
  exchange.reply.writeHead(status, { "content-type": contentType, "content-length": body.length });
  exchange.reply.end(body);
}
