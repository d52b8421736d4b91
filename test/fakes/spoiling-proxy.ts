import { createServer, type IncomingMessage, type ServerResponse, request as send } from "node:http";
import type { AddressInfo } from "node:net";

/** An answer of the service behind the proxy, whole. */
export interface WholeAnswer {
  status: number;
  headers: Record<string, string>;
  /** As UTF-8, or of sound and pictures a character for each byte. */
  text: string;
}

/** One thing that a service does wrong. */
export interface Spoiling {
  /** Which requests it is about. */
  readonly concerns: (request: IncomingMessage, body: string) => boolean;
  /** Changes a whole answer. */
  readonly spoil?: (answer: WholeAnswer, request: IncomingMessage) => void | Promise<void>;
  /** How long the service goes on after its client has left. */
  readonly worksOnMs?: number;
}

/** A service's port with one thing spoiled; everything else passes as it is, streams included. */
export async function spoilingProxy(target: string, spoiling: Spoiling) {
  const server = createServer((request, response) => void relay(request, response));
  const relay = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readAll(request);
    const isConcerned = spoiling.concerns(request, body.toString());
    const upstream = send(target + request.url, { method: request.method, headers: request.headers });
    upstream.on("error", () => response.destroy());
    response.on("close", () => {
      setTimeout(() => upstream.destroy(), isConcerned ? (spoiling.worksOnMs ?? 0) : 0);
    });
    upstream.on("response", (answer) => {
      if (isConcerned && spoiling.spoil !== undefined) {
        const spoil = async (whole: WholeAnswer) => await spoiling.spoil?.(whole, request);
        void sendSpoiled(answer, response, spoil).catch(() => response.destroy());
        return;
      }
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.on("data", (chunk) => response.write(chunk)).on("end", () => response.end());
      answer.on("error", () => response.destroy());
    });
    upstream.end(body);
  };
  server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
    const error = { message: "Too large.", type: "invalid_request_error", param: null, code: "request_too_large" };
    const answer: WholeAnswer = {
      status: 413,
      headers: { "content-type": "application/json", connection: "close" },
      text: JSON.stringify({ error }),
    };
    if (spoiling.concerns(request, "")) void spoiling.spoil?.(answer, request);
    response.writeHead(answer.status, answer.headers).end(answer.text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

async function sendSpoiled(
  answer: IncomingMessage,
  response: ServerResponse,
  spoil: (whole: WholeAnswer) => Promise<void>,
): Promise<void> {
  const encoding = /^(audio|video|image)\//.test(answer.headers["content-type"] ?? "") ? "latin1" : "utf8";
  const text = (await readAll(answer)).toString(encoding);
  const headers = Object.fromEntries(Object.entries(answer.headers).map(([name, value]) => [name, String(value)]));
  const whole: WholeAnswer = { status: answer.statusCode ?? 500, headers, text };
  await spoil(whole);
  delete whole.headers["content-length"];
  delete whole.headers["transfer-encoding"];
  response.writeHead(whole.status, whole.headers).end(Buffer.from(whole.text, encoding));
}

async function readAll(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
