import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock } from "../../src/base/clock.ts";
import { toErrorBody } from "../../src/base/error-body.ts";
import { toNexusError } from "../../src/base/errors.ts";
import { newRequestId } from "../../src/base/ids.ts";
import { createMemoryResponseStore } from "../../src/gateway/response-store.ts";
import { type OpenedRequest, StoredResponses } from "../../src/gateway/stored-responses.ts";
import { encodeEvent, parseEvents, type StreamEvent } from "../../src/openai/stream-events.ts";
import { collectResponse, finalResponse } from "../../src/translate/collect-response.ts";
import { parseRequest } from "../../src/translate/request-fields.ts";
import { responsesToChat } from "../../src/translate/responses-to-chat.ts";
import type { Translation } from "../../src/translate/translation.ts";

export interface ResponsesServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Responses over one backend that only chats: no routing, no keys, nothing but the translation and the store. */
export async function startResponsesServer(backendUrl: string): Promise<ResponsesServer> {
  const stored = new StoredResponses(createMemoryResponseStore(systemClock));
  const server = createServer((request, response) => {
    serve(request, response, stored, backendUrl).catch((thrown: unknown) => {
      const error = toNexusError(thrown);
      if (response.headersSent) response.destroy();
      else sendJson(response, error.status, toErrorBody(error));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function sendJson(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  stored: StoredResponses,
  backendUrl: string,
): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? "", "http://server");
  const [, , , id, step] = pathname.split("/");
  // The key stands for its tenant.
  const tenant = request.headers.authorization ?? "";
  if (id === undefined) return create(request, response, { stored, tenant, backendUrl });
  const query = Object.fromEntries(searchParams);
  if (request.method === "DELETE") return sendJson(response, 200, await stored.remove(tenant, id));
  if (step === "input_items") return sendJson(response, 200, await stored.inputItems(tenant, id, query));
  if (step === "cancel") return sendJson(response, 200, await stored.cancel(tenant, id));
  sendJson(response, 200, await stored.retrieve(tenant, id, query));
}

interface Surroundings {
  readonly stored: StoredResponses;
  readonly tenant: string;
  readonly backendUrl: string;
}

async function create(request: IncomingMessage, response: ServerResponse, around: Surroundings): Promise<void> {
  const body = Buffer.concat(await Array.fromAsync(request));
  const startedAt = performance.now();
  const context = {
    newId: (prefix: string) => newRequestId().replace("req", prefix),
    nowSeconds: Math.floor(Date.now() / 1_000),
    elapsedMs: () => performance.now() - startedAt,
    hasModel: () => true,
  };
  const opened = await around.stored.open(around.tenant, parseRequest(body), context.newId);
  const translation = responsesToChat.translate(opened.request, context);
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const answer = await fetch(`${around.backendUrl}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: translation.body,
    signal: gone.signal,
  });
  if (!answer.ok) return sendJson(response, answer.status, (await answer.json()) as object);
  if (opened.request.stream === true) return relayStream(answer, response, translation, { ...around, opened });
  const whole = translation.whole(Buffer.from(await answer.arrayBuffer()));
  const final = collectResponse(whole);
  if (final !== undefined) await around.stored.keep(around.tenant, opened, final);
  response.writeHead(200, { "content-type": "application/json" }).end(whole);
}

async function relayStream(
  answer: Response,
  response: ServerResponse,
  translation: Translation,
  { stored, tenant, opened }: Surroundings & { readonly opened: OpenedRequest },
): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const stream = translation.stream();
  const write = async (events: readonly StreamEvent[]) => {
    for (const event of events) {
      const final = finalResponse(event);
      if (final !== undefined) await stored.keep(tenant, opened, final);
      response.write(encodeEvent(event, "sse"));
    }
  };
  let held = "";
  for await (const text of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const end = (held + text).lastIndexOf("\n\n") + 1;
    const whole = (held + text).slice(0, end);
    held = (held + text).slice(end);
    for (const event of parseEvents(Buffer.from(whole))) await write(stream.push(event));
  }
  await write(stream.end());
  response.end();
}
