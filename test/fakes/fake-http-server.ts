import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** JSON as tests look at it. */
// biome-ignore lint/suspicious/noExplicitAny: tests read documents of many shapes and fail where one is wrong
export type Json = any;

/** One request as a fake got it. */
export interface Heard {
  readonly route: string;
  readonly url: URL;
  readonly json: Json;
  readonly form: FormData | undefined;
}

/** What a fake answers: JSON, a file, or a status alone. */
export type Said = object | { readonly type: string; readonly bytes: Buffer } | number;

export interface FakeServer {
  readonly url: string;
  readonly server: Server;
  /** Every request, in order. */
  readonly heard: Heard[];
}

/** A server on a free port of loopback until the test ends. Unknown routes are 404. */
export async function startFake(
  t: TestContext,
  answer: (heard: Heard) => Promise<Said | undefined> | Said | undefined,
): Promise<FakeServer> {
  const heard: Heard[] = [];
  const server = createServer(async (request, response) => {
    const one = await read(request);
    heard.push(one);
    say(response, (await answer(one)) ?? 404);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, heard };
}

function say(response: ServerResponse, said: Said): void {
  if (typeof said === "number") response.writeHead(said).end();
  else if ("bytes" in said) response.writeHead(200, { "content-type": said.type }).end(said.bytes);
  else response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(said));
}

async function read(request: IncomingMessage): Promise<Heard> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const type = request.headers["content-type"] ?? "";
  const url = new URL(request.url ?? "/", "http://fake");
  return {
    route: `${request.method} ${url.pathname}`,
    url,
    json: type.startsWith("application/json") ? JSON.parse(body.toString()) : undefined,
    form: type.startsWith("multipart/")
      ? await new Response(body, { headers: { "content-type": type } }).formData()
      : undefined,
  };
}
