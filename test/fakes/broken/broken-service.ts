import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import type { Fault, WholeAnswer } from "./fault.ts";

/** A service with one fault. */
export interface BrokenService {
  readonly url: string;
  /** Breaks off every answer that is under way. */
  cut(): void;
  /** Takes no connections any more and resolves when the last answer and conversation is over. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

/** The sound service at `target` with one thing spoiled; everything else passes as it is, streams included. */
export async function startBrokenService(target: string, fault: Fault, port = 0): Promise<BrokenService> {
  const line = turns(fault.atOnce ?? Number.POSITIVE_INFINITY);
  const open = new Set<ServerResponse | WebSocket>();
  const keep = (answer: ServerResponse | WebSocket) => {
    open.add(answer);
    answer.once("close", () => open.delete(answer));
  };
  const server = createServer((request, response) => {
    keep(response);
    relay({ target, fault, line }, request, response).catch(() => response.destroy());
  });
  server.on("checkContinue", (request, response) => refuseHuge(fault, request, response));
  server.on("upgrade", (request, socket, head) => {
    relayTalk(target, fault, request, (run) =>
      handshakes.handleUpgrade(request, socket, head, (client) => {
        keep(client);
        run(client);
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut: () => server.closeAllConnections(),
    drain: async () => {
      server.close();
      await Promise.all([...open].map((answer) => once(answer, "close")));
    },
    close: async () => {
      const end = ended(server);
      server.closeAllConnections();
      await end;
    },
  };
}

function ended(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** Lets so many pass at a time; whoever has entered calls what it was given when it leaves. */
function turns(max: number) {
  let inside = 0;
  const waiting: (() => void)[] = [];
  return async (): Promise<() => void> => {
    while (inside >= max) await new Promise<void>((resolve) => waiting.push(resolve));
    inside += 1;
    return () => {
      inside -= 1;
      waiting.shift()?.();
    };
  };
}

interface Relaying {
  readonly target: string;
  readonly fault: Fault;
  readonly line: ReturnType<typeof turns>;
}

async function relay(
  { target, fault, line }: Relaying,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await readAll(request);
  const isConcerned = fault.concerns(request, body.toString());
  if (isConcerned) {
    const leave = await line();
    response.once("close", leave);
    if (response.destroyed) return leave();
  }
  const upstream = send(target + request.url, { method: request.method, headers: request.headers });
  upstream.on("error", () => response.destroy());
  response.on("close", () => {
    setTimeout(() => upstream.destroy(), isConcerned ? (fault.worksOnMs ?? 0) : 0);
  });
  upstream.on("response", (answer) => {
    if (isConcerned && fault.spoil !== undefined) {
      const spoil = async (whole: WholeAnswer) => await fault.spoil?.(whole, request);
      void sendSpoiled(answer, response, spoil).catch(() => response.destroy());
      return;
    }
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    answer.on("data", (chunk) => response.write(chunk)).on("end", () => response.end());
    answer.on("error", () => response.destroy());
  });
  upstream.end(body);
}

function refuseHuge(fault: Fault, request: IncomingMessage, response: ServerResponse): void {
  const error = { message: "Too large.", type: "invalid_request_error", param: null, code: "request_too_large" };
  const answer: WholeAnswer = {
    status: 413,
    headers: { "content-type": "application/json", connection: "close" },
    text: JSON.stringify({ error }),
  };
  if (fault.concerns(request, "")) void fault.spoil?.(answer, request);
  response.writeHead(answer.status, answer.headers).end(answer.text);
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

const handshakes = new WebSocketServer({ noServer: true, clientTracking: false });

/** Holds a conversation once the sound service does, with its faults. */
function relayTalk(
  target: string,
  fault: Fault,
  request: IncomingMessage,
  accept: (run: (client: WebSocket) => void) => void,
): void {
  const service = new WebSocket(target.replace("http", "ws") + request.url, ["realtime"]);
  service.on("error", () => {
    if (fault.opensAll) accept((client) => client.on("error", () => {}));
    else request.socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", () => request.socket.destroy());
  });
  service.once("open", () => {
    service.pause();
    accept((client) => {
      service.on("message", (data) => {
        const event: unknown = JSON.parse(String(data));
        client.send(JSON.stringify(fault.say?.(event) ?? event));
      });
      client.on("message", (data) => service.send(String(data)));
      const lateMs = fault.concerns(request, "") ? (fault.worksOnMs ?? 0) : 0;
      client.on("close", () => setTimeout(() => service.close(1000), lateMs));
      service.on("close", (code) => client.close(fault.closesWith ?? (code === 1005 ? 1000 : code)));
      for (const side of [client, service]) side.on("error", () => {});
      service.resume();
    });
  });
}
