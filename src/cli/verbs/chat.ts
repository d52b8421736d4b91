import { text as readAll } from "node:stream/consumers";
import { type ChatMessage, listChatModels, streamChat } from "../chat-client.ts";
import { CliError } from "../cli-error.ts";
import type { CliContext } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import type { HttpTarget } from "../http-client.ts";
import { findPlatform } from "../platform.ts";
import { createPieceView } from "../show-pieces.ts";
import type { Verb } from "../verb.ts";

export interface ChatFlags extends DataFlag, JsonFlag {
  readonly model?: string;
  readonly system?: string;
}

/** `nexus chat [question]`: one answer when there is a question or piped text, else a conversation. */
export const chat: Verb<ChatFlags, string[]> = async ({ context }, flags, ...words) => {
  const isConversation = words.length === 0 && context.stdin.isTTY === true && flags.json !== true;
  if (isConversation && !context.terminal.isInteractive) {
    throw new CliError(exitCodes.usage, "usage", "A conversation needs a terminal.", {
      hint: 'Ask one question instead: nexus chat "..."',
    });
  }
  const question = isConversation ? undefined : await readQuestion(context, words);
  const gateway = await findPlatform(context, flags).gateway();
  const model = flags.model ?? (await firstChatModel(gateway, context.interrupts.signal));
  const system: readonly ChatMessage[] = flags.system === undefined ? [] : [{ role: "system", content: flags.system }];
  if (question === undefined) {
    const { converse } = await import("../conversation.ts");
    await converse({ context, gateway, model, system });
    return undefined;
  }
  const view = flags.json === true ? undefined : createPieceView(context.terminal);
  const answer = await streamChat(
    gateway,
    { model, messages: [...system, { role: "user", content: question }], signal: context.interrupts.signal },
    (piece) => view?.show(piece),
  ).finally(() => view?.end());
  if (view !== undefined) context.terminal.print("");
  return { json: answer, text: [] };
};

/** Piped text above this is no question. */
const questionBytesMax = 16 * 1024 * 1024;

async function readQuestion({ stdin }: CliContext, words: readonly string[]): Promise<string> {
  const piped = stdin.isTTY === true || words.length > 0 ? "" : await readAll(stdin);
  const question = words.length > 0 ? words.join(" ") : piped.trim();
  if (question === "" || question.length > questionBytesMax) {
    throw new CliError(
      exitCodes.usage,
      "usage",
      question === "" ? "There is no question." : "The question is too long.",
      {
        hint: 'Write nexus chat "your question", or pipe text into it.',
      },
    );
  }
  return question;
}

/** The model that is meant when none is named. @throws CliError when there is none yet. */
export async function firstChatModel(gateway: HttpTarget, signal: AbortSignal): Promise<string> {
  const [first] = await listChatModels(gateway, signal);
  if (first !== undefined) return first;
  throw new CliError(exitCodes.notReady, "no_model", "No model that can chat is there yet.", {
    hint: "`nexus status` says what is loading; `nexus attach URL` adds a server that has one.",
  });
}
