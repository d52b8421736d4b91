import { toChatMessages } from "./anthropic-messages.ts";
import { estimateTokens } from "./estimate-tokens.ts";
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
  const tools = optionalList(request.tools, "tools");
  const said = messages.reduce((sum, message) => sum + tokensOf(message), 0);
  if (tools.length === 0) return said;
  return tools.reduce((sum: number, tool) => sum + callTokens + estimateTokens(toolText(tool)), said + toolsTokens);
}

/** Without the marks for Anthropic's cache, which no model sees. */
function toolText(tool: unknown): string {
  if (!isObject(tool)) return "";
  const { cache_control: _mark, ...rest } = tool;
  return JSON.stringify(rest);
}

function tokensOf({ content, reasoning_content: thoughts, tool_calls: calls }: JsonObject): number {
  const texts = [content, thoughts].filter((text) => typeof text === "string");
  const parts = Array.isArray(content) ? content : [];
  return (
    messageTokens +
    texts.reduce((sum, text) => sum + estimateTokens(text), 0) +
    parts.reduce((sum: number, part: JsonObject) => sum + partTokens(part), 0) +
    (Array.isArray(calls) ? calls : []).reduce(
      (sum: number, call: JsonObject) => sum + callTokens + estimateTokens(JSON.stringify(call.function)),
      0,
    )
  );
}

function partTokens({ type, text, file }: JsonObject): number {
  if (type === "text" && typeof text === "string") return estimateTokens(text);
  if (type !== "file" || !isObject(file)) return imageTokens;
  return imageTokens * Math.ceil(String(file.file_data).length / pageCharacters);
}
