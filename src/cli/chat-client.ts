import type { IncomingMessage } from "node:http";
import { StringDecoder } from "node:string_decoder";
import { createParser } from "eventsource-parser";
import { brokenOff } from "./ask-gateway.ts";
import { CliError } from "./cli-error.ts";
import { exitCodes } from "./exit-codes.ts";
import { callHttp, type HttpTarget, readText } from "./http-client.ts";
import { errorFromAnswer, parseAnswer } from "./platform.ts";
import { listServedModels } from "./served-models.ts";

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly signal: AbortSignal;
}

/** A piece of an answer on its way. */
export interface ChatPiece {
  readonly kind: "answer" | "reasoning";
  readonly text: string;
}

/** An answer that is complete, or as far as it got when it was stopped. */
export interface ChatAnswer {
  readonly content: string;
  readonly model: string;
  readonly finish_reason: string | null;
  readonly usage: unknown;
}

interface ChatChunk {
  readonly model?: string;
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null; readonly reasoning_content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: unknown;
  readonly error?: unknown;
}

/** The gateway waits this long for a first token itself and answers with an error then; a little more here. */
const firstByteTimeoutMs = 120_000;

/**
 * Asks and passes the answer on piece by piece.
 * @throws CliError with the gateway's message; the signal's reason when it was stopped.
 */
export async function streamChat(
  gateway: HttpTarget,
  request: ChatRequest,
  onPiece: (piece: ChatPiece) => void,
): Promise<ChatAnswer> {
  const { model, messages, signal } = request;
  try {
    const answer = await callHttp(gateway, {
      method: "POST",
      path: "/v1/chat/completions",
      body: { model, messages, stream: true, stream_options: { include_usage: true } },
      signal,
      timeoutMs: firstByteTimeoutMs,
    });
    if (answer.status !== 200) throw errorFromAnswer(answer.status, parseAnswer(await readText(answer.body)));
    return await readStream(answer.body, model, onPiece);
  } catch (error) {
    throw brokenOff(error, signal);
  }
}

async function readStream(
  body: IncomingMessage,
  model: string,
  onPiece: (piece: ChatPiece) => void,
): Promise<ChatAnswer> {
  let answer: ChatAnswer = { content: "", model, finish_reason: null, usage: null };
  let isDone = false;
  const parser = createParser({
    onEvent({ data }) {
      if (data === "[DONE]") isDone = true;
      else answer = addChunk(answer, parseAnswer(data) as ChatChunk, onPiece);
    },
  });
  const decoder = new StringDecoder("utf8");
  for await (const bytes of body as AsyncIterable<Buffer>) parser.feed(decoder.write(bytes));
  if (!isDone) throw new CliError(exitCodes.failed, "backend_disconnected", "The answer broke off before its end.");
  return answer;
}

function addChunk(answer: ChatAnswer, chunk: ChatChunk, onPiece: (piece: ChatPiece) => void): ChatAnswer {
  if (chunk.error !== undefined) throw errorFromAnswer(502, chunk);
  const choice = chunk.choices?.[0];
  const text = choice?.delta?.content ?? "";
  const reasoning = choice?.delta?.reasoning_content ?? "";
  if (reasoning !== "") onPiece({ kind: "reasoning", text: reasoning });
  if (text !== "") onPiece({ kind: "answer", text });
  return {
    content: answer.content + text,
    model: chunk.model ?? answer.model,
    finish_reason: choice?.finish_reason ?? answer.finish_reason,
    usage: chunk.usage ?? answer.usage,
  };
}

/** Ids of the models that can chat, those that answer at once first. */
export function listChatModels(gateway: HttpTarget, signal: AbortSignal): Promise<readonly string[]> {
  return listServedModels(gateway, "chat", signal);
}
