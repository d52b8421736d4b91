import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { encodeGreyPng } from "../../src/grey-png.ts";

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

export interface FakeServer {
  readonly url: string;
  readonly server: Server;
  /** Every request, in order. */
  readonly heard: Heard[];
}

/** What a fake answers: JSON, bytes of a PNG, or a status alone. */
export type Said = object | Buffer | number;

/** A server on a free port of loopback until the test ends. Unknown routes are 404. */
export async function startFake(
  t: TestContext,
  answer: (heard: Heard) => Promise<Said | undefined> | Said | undefined,
): Promise<FakeServer> {
  const heard: Heard[] = [];
  const server = createServer(async (request, response) => {
    const one = await read(request);
    heard.push(one);
    const said = (await answer(one)) ?? 404;
    if (typeof said === "number") return response.writeHead(said).end();
    const isPicture = Buffer.isBuffer(said);
    response.writeHead(200, { "content-type": isPicture ? "image/png" : "application/json" });
    response.end(isPicture ? said : JSON.stringify(said));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, heard };
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

/** A document of `fixtures/`, with words in it replaced. */
export function fixture(name: string, words: Readonly<Record<string, string>> = {}): Json {
  let text = readFileSync(new URL(`../../fixtures/${name}.json`, import.meta.url), "utf8");
  for (const [word, value] of Object.entries(words)) text = text.replaceAll(word, value);
  return JSON.parse(text);
}

/** A small picture in one shade of grey, to be told from others. */
export function shade(value: number): Buffer {
  return encodeGreyPng(Buffer.alloc(16 * 16, value), 16, 16);
}
