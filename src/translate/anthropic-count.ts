import { toChatMessages } from "./anthropic-messages.ts";
import { estimateTokens, estimateTokensSoon } from "./estimate-tokens.ts";
import { isObject, type JsonObject, optionalList, requiredModel } from "./request-fields.ts";

/** A header of answers to `messages.count_tokens` that no tokenizer has counted. Its value is `true`. */
export const estimatedHeader = "x-nexus-estimated";

/** What chat templates write around each message, and around a call: role and markers. */
const messageTokens = 4;
const callTokens = 8;
/** What templates say about tools at all, once they are offered: half of what Anthropic takes for it. */
const toolsTokens = 150;
/** The most that Anthropic takes for one picture; open models take 256 to 1,600. Pages of a PDF are pictures too. */
const imageTokens = 1_600;
/** A page of a PDF has about this many bytes; in base64 a third more. */
const pageCharacters = 65_000;

/**
 * Answers `messages.count_tokens` for models whose server does not count: about how many tokens a request's prompt has.
 * Its texts are known as well as `estimateTokens` knows them; images are taken at their largest. Rather too many than
 * too few: clients ask in order to know whether a request fits.
 * @throws NexusError `invalid_request` or `unsupported_feature`, as the request itself would be answered.
 */
export function estimateInputTokens(request: JsonObject): number {
  requiredModel(request);
  const messages = toChatMessages(request.system, request.messages);
  const { texts, tokens } = readPrompt(messages, optionalList(request.tools, "tools"));
  return texts.reduce((sum, text) => sum + estimateTokens(text), tokens);
}

/** The same for a prompt that is translated already, quickly and less exactly where it is long. */
export function estimatePromptTokens(messages: readonly JsonObject[], tools: readonly unknown[]): number {
  const { texts, tokens } = readPrompt(messages, tools);
  return tokens + estimateTokensSoon(texts.join("\n"));
}

/** What tokens are made of. */
interface Prompt {
  readonly texts: string[];
  /** Of all that is no text. */
  tokens: number;
}

function readPrompt(messages: readonly JsonObject[], tools: readonly unknown[]): Prompt {
  const prompt: Prompt = { texts: [], tokens: tools.length === 0 ? 0 : toolsTokens };
  for (const message of messages) readMessage(message, prompt);
  for (const tool of tools) {
    prompt.tokens += callTokens;
    prompt.texts.push(toolText(tool));
  }
  return prompt;
}

function readMessage({ content, reasoning_content: thoughts, tool_calls: calls }: JsonObject, prompt: Prompt): void {
  prompt.tokens += messageTokens;
  for (const text of [content, thoughts]) if (typeof text === "string") prompt.texts.push(text);
  for (const part of Array.isArray(content) ? content : []) readPart(part, prompt);
  for (const call of Array.isArray(calls) ? calls : []) {
    prompt.tokens += callTokens;
    prompt.texts.push(JSON.stringify(call.function));
  }
}

function readPart({ type, text, file }: JsonObject, prompt: Prompt): void {
  if (type === "text" && typeof text === "string") prompt.texts.push(text);
  else if (type !== "file" || !isObject(file)) prompt.tokens += imageTokens;
  else prompt.tokens += imageTokens * Math.ceil(String(file.file_data).length / pageCharacters);
}

/** Without the marks for Anthropic's cache, which no model sees. */
function toolText(tool: unknown): string {
  if (!isObject(tool)) return "";
  const { cache_control: _mark, ...rest } = tool;
  return JSON.stringify(rest);
}
