import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Answer, Probe } from "./probe.ts";

const announcedBytes = 2 ** 40;
const silenceMs = 3_000;
const answerBytesMax = 64 * 1024;

/**
 * Announces a body of 1 TiB with `Expect: 100-continue` and never sends it: costs nothing, and shows whether a limit is
 * held by the announced length. Resolves to undefined when no answer came within 3 s; a mere `100 Continue`, which some
 * servers send before they look, is none. Written on Node's client, as `fetch` sends no length that is not true.
 */
export async function announceBody(
  url: string,
  contentType: string,
  { key, signal }: Pick<Probe, "key" | "signal">,
): Promise<Answer | undefined> {
  const since = performance.now();
  const send = url.startsWith("https:") ? httpsRequest : httpRequest;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(silenceMs)]);
  return await new Promise<Answer | undefined>((resolve, reject) => {
    const sent = send(url, {
      method: "POST",
      signal: limit,
      agent: false,
      headers: {
        "content-type": contentType,
        "content-length": announcedBytes,
        expect: "100-continue",
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      },
    });
    sent.on("response", (response) => {
      readText(response).then((text) => {
        const headers = new Headers(Object.entries(response.headers).map(([name, value]) => [name, String(value)]));
        const answer = {
          status: response.statusCode ?? 0,
          headers,
          text,
          bytes: Buffer.from(text),
          durationMs: performance.now() - since,
        };
        resolve(answer);
        sent.destroy();
      }, reject);
    });
    sent.on("error", (error) => {
      if (limit.aborted && !signal.aborted) resolve(undefined);
      else reject(error);
    });
    sent.flushHeaders();
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response.setEncoding("utf8") as AsyncIterable<string>) {
    text += chunk;
    if (text.length > answerBytesMax) break;
  }
  return text;
}
