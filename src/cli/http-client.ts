import type { ClientRequest, IncomingMessage } from "node:http";
import { http, https } from "../base/node-http.ts";

/** Where requests go: a Unix socket, or a base URL with an optional bearer key. */
export interface HttpTarget {
  readonly socketPath?: string;
  /** Without a trailing slash. With `socketPath` only its path counts. */
  readonly baseUrl: string;
  readonly key?: string | undefined;
}

export interface HttpCall {
  readonly method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** Appended to the base URL. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is, instead of `body`. */
  readonly raw?: { readonly bytes: Uint8Array; readonly contentType: string };
  readonly signal?: AbortSignal | undefined;
  /** Until the head of the answer is there. Default 10 s. */
  readonly timeoutMs?: number;
}

/** The head has arrived, the body is still to be read. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: IncomingMessage;
}

const headTimeoutMs = 10_000;

/**
 * One request over Node's own client, because it starts in a few milliseconds and speaks Unix sockets.
 * @throws Error of Node with its `code` when there is no connection; `code` ETIMEDOUT when no answer comes.
 */
export function callHttp(target: HttpTarget, call: HttpCall): Promise<HttpAnswer> {
  const url = new URL(`${target.baseUrl}${call.path}`);
  const payload = call.raw?.bytes ?? (call.body === undefined ? undefined : JSON.stringify(call.body));
  const headers: Record<string, string> = { accept: "application/json" };
  if (payload !== undefined) {
    headers["content-type"] = call.raw?.contentType ?? "application/json";
    // Node states no length for a DELETE by itself, and the body would be read as the next request.
    headers["content-length"] = String(Buffer.byteLength(payload));
  }
  if (target.key !== undefined) headers.authorization = `Bearer ${target.key}`;
  return new Promise((resolve, reject) => {
    const { request: send } = url.protocol === "https:" ? https() : http();
    const request: ClientRequest = send(
      url,
      {
        method: call.method,
        headers,
        agent: false,
        ...(target.socketPath === undefined ? {} : { socketPath: target.socketPath }),
        ...(call.signal === undefined ? {} : { signal: call.signal }),
      },
      (body) => {
        clearTimeout(timer);
        resolve({ status: body.statusCode ?? 0, body });
      },
    );
    const timer = setTimeout(() => {
      request.destroy(Object.assign(new Error("no answer in time"), { code: "ETIMEDOUT" }));
    }, call.timeoutMs ?? headTimeoutMs);
    request.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    request.end(payload);
  });
}

/** Control answers above this are refused. */
const answerBytesMax = 32 * 1024 * 1024;

/** The whole body as text. Throws when it is larger than any answer of the control API. */
export async function readText(body: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > answerBytesMax) throw new Error("the answer is too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
