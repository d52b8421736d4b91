import type { RunningGateway } from "./gateways/gateway.ts";
import { ask } from "./processes.ts";
import { chunksPerStream, requestBody, sentAtPattern } from "./wire.ts";

/** Makes sure that a gateway gives the whole answer before anybody measures how fast. @throws Error */
export async function checkAnswers(gateway: RunningGateway): Promise<void> {
  const chat = await post(gateway, "chat");
  if (!chat.includes("Paris is the capital of France.")) throw new Error(`a wrong answer: ${chat.slice(0, 200)}`);
  const stream = await post(gateway, "stream");
  const events = [...stream.matchAll(sentAtPattern)].length;
  if (events !== chunksPerStream || !stream.includes("data: [DONE]")) {
    throw new Error(`a stream with ${events} of ${chunksPerStream} chunks: ${stream.slice(0, 200)}`);
  }
}

async function post(gateway: RunningGateway, kind: "chat" | "stream"): Promise<string> {
  const { port, path } = gateway;
  const headers = { "content-type": "application/json", ...gateway.headers };
  const body = requestBody(kind, gateway.model);
  const { status, text } = await ask({ port, path, method: "POST", headers, body });
  if (status !== 200) throw new Error(`it answers a ${kind} request with ${status}: ${text.slice(-300)}`);
  return text;
}
