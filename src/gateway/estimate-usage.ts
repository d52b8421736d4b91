import type { Usage } from "../openai/usage.ts";
import type { Ask } from "./ask.ts";

/** English text and code in the vocabularies of today's models. */
const bytesPerToken = 4;
/** Who speaks, why it ended, and `[DONE]`: events of every stream that carry no token. */
const silentEvents = 3;

/** Servers send an event a token, and no usage unless they are asked for it. */
export function usageOfStream(promptBytes: number, events: number): Usage {
  return { promptTokens: tokensIn(promptBytes), completionTokens: Math.max(0, events - silentEvents) };
}

/** Of a whole answer whose server does not count. Undefined where tokens are not what an operation costs. */
export function usageOfBody({ operation, bytes, amounts }: Ask, answerBytes: number): Usage | undefined {
  // It was said beforehand what it uses.
  if (amounts?.promptTokens !== undefined) return undefined;
  if (operation.domains.includes("chat")) {
    return { promptTokens: tokensIn(bytes), completionTokens: tokensIn(answerBytes) };
  }
  return operation.domains.includes("embedding") ? { promptTokens: tokensIn(bytes), completionTokens: 0 } : undefined;
}

function tokensIn(bytes: number): number {
  return Math.ceil(bytes / bytesPerToken);
}
