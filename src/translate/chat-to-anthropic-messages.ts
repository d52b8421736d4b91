import {
  invalidField,
  isObject,
  type JsonObject,
  optionalList,
  optionalText,
  renamed,
  requiredObject,
  requiredText,
  unsupportedField,
} from "./request-fields.ts";

/** A conversation in Anthropic's words. */
export interface Conversation {
  readonly system: readonly JsonObject[];
  readonly messages: readonly { readonly role: "user" | "assistant"; readonly content: readonly JsonObject[] }[];
}

interface Turn {
  readonly role: "user" | "assistant";
  readonly content: JsonObject[];
}

/**
 * The messages of a chat completion. Instructions stand before everything else in Anthropic's API, wherever they stood;
 * results of tools are the user's; neighbours of one role become one message. Texts that are empty are left out, as
 * Anthropic refuses them.
 * @throws NexusError `invalid_request` or `unsupported_feature`
 */
export function toConversation(value: unknown): Conversation {
  const list = optionalList(value, "messages");
  if (list.length === 0) throw invalidField("messages", "a list with at least one message");
  const system: JsonObject[] = [];
  const turns: Turn[] = [];
  for (const [index, item] of list.entries()) {
    const param = `messages[${index}]`;
    const message = requiredObject(item, param);
    switch (message.role) {
      case "system":
      case "developer":
        system.push(...readTexts(message.content, `${param}.content`));
        break;
      case "user":
        addTo(turns, "user", readParts(message.content, `${param}.content`));
        break;
      case "assistant":
        addTo(turns, "assistant", assistantBlocks(message, param));
        break;
      case "tool":
        addTo(turns, "user", [toolResult(message, param)]);
        break;
      default:
        throw invalidField(`${param}.role`, '"system", "developer", "user", "assistant" or "tool"');
    }
  }
  if (turns.length === 0) throw invalidField("messages", "a list that says something besides instructions");
  return { system, messages: withoutLastSpace(turns) };
}

function addTo(turns: Turn[], role: Turn["role"], blocks: readonly JsonObject[]): void {
  const last = turns.at(-1);
  if (blocks.length === 0) return;
  if (last?.role === role) last.content.push(...blocks);
  else turns.push({ role, content: [...blocks] });
}

/** An answer that shall be continued must not end with space. */
function withoutLastSpace(turns: readonly Turn[]): readonly Turn[] {
  const last = turns.at(-1);
  const block = last?.content.at(-1);
  if (last?.role !== "assistant" || typeof block?.text !== "string") return turns;
  return [
    ...turns.slice(0, -1),
    { ...last, content: [...last.content.slice(0, -1), { ...block, text: block.text.trimEnd() }] },
  ];
}

function readTexts(content: unknown, param: string): readonly JsonObject[] {
  return readParts(content, param).map((block) => {
    if (block.type !== "text") throw invalidField(param, "text");
    return block;
  });
}

function readParts(content: unknown, param: string): readonly JsonObject[] {
  if (typeof content === "string") return textBlocks(content, {});
  return optionalList(content, param).flatMap((part, index) =>
    toBlocks(requiredObject(part, `${param}[${index}]`), `${param}[${index}]`),
  );
}

/** Anthropic's own mark of what is worth caching may stand on parts: it saves the owner money. */
function textBlocks(text: string, part: JsonObject): readonly JsonObject[] {
  return text.trim() === "" ? [] : [{ type: "text", text, ...renamed(part, { cache_control: "cache_control" }) }];
}

function toBlocks(part: JsonObject, param: string): readonly JsonObject[] {
  switch (part.type) {
    case "text":
      return textBlocks(requiredText(part.text, `${param}.text`), part);
    case "refusal":
      return textBlocks(requiredText(part.refusal, `${param}.refusal`), part);
    case "image_url": {
      // Some clients write the URL itself in place of the object.
      const image = typeof part.image_url === "string" ? { url: part.image_url } : part.image_url;
      const url = requiredText(requiredObject(image, `${param}.image_url`).url, `${param}.image_url.url`);
      return [{ type: "image", source: sourceOf(url), ...renamed(part, { cache_control: "cache_control" }) }];
    }
    case "file":
      return [documentBlock(requiredObject(part.file, `${param}.file`), `${param}.file`)];
    default:
      throw unsupportedField(`${param}.type`, `Anthropic's models take no '${String(part.type)}'.`);
  }
}

function sourceOf(url: string): JsonObject {
  const [, type, data] = /^data:([^;,]+)(?:;[^;,]+)*;base64,(.*)$/s.exec(url) ?? [];
  return data === undefined ? { type: "url", url } : { type: "base64", media_type: type, data };
}

function documentBlock(file: JsonObject, param: string): JsonObject {
  const url = optionalText(file.file_data, `${param}.file_data`);
  if (url === undefined) throw unsupportedField(`${param}.file_id`, "Send the file itself as 'file_data'.");
  const source = sourceOf(url);
  const title = renamed(file, { filename: "title" });
  if (source.media_type !== "text/plain") return { type: "document", source, ...title };
  const data = Buffer.from(String(source.data), "base64").toString("utf8");
  return { type: "document", source: { type: "text", media_type: "text/plain", data }, ...title };
}

/**
 * Thoughts go back as the blocks that they came in (`thinking_blocks`): Anthropic takes only what it has signed. Thoughts
 * that are bare text are left out.
 */
function assistantBlocks(message: JsonObject, param: string): readonly JsonObject[] {
  const calls = optionalList(message.tool_calls, `${param}.tool_calls`);
  const thoughts = optionalList(message.thinking_blocks, `${param}.thinking_blocks`);
  return [
    ...thoughts.filter(isObject),
    ...readParts(message.content, `${param}.content`),
    ...calls.map((call, index) => toolUse(call, `${param}.tool_calls[${index}]`)),
  ];
}

function toolUse(value: unknown, param: string): JsonObject {
  const call = requiredObject(value, param);
  const told = requiredObject(call.function, `${param}.function`);
  return {
    type: "tool_use",
    id: idOf(requiredText(call.id, `${param}.id`)),
    name: requiredText(told.name, `${param}.function.name`),
    input: inputOf(told.arguments, `${param}.function.arguments`),
  };
}

function inputOf(given: unknown, param: string): JsonObject {
  const text = optionalText(given, param) ?? "";
  if (text.trim() === "") return {};
  try {
    const input: unknown = JSON.parse(text);
    if (isObject(input)) return input;
  } catch {
    // Said below, as for what is JSON and no object.
  }
  throw invalidField(param, "the JSON of an object");
}

function toolResult(message: JsonObject, param: string): JsonObject {
  const id = requiredText(message.tool_call_id, `${param}.tool_call_id`);
  const content = readParts(message.content, `${param}.content`);
  return { type: "tool_result", tool_use_id: idOf(id), ...(content.length === 0 ? {} : { content }) };
}

/** Anthropic's ids are letters, digits, `_` and `-`; those of other servers may have been anything. */
function idOf(id: string): string {
  return id.replaceAll(/[^A-Za-z0-9_-]/g, "_");
}

/** Whether the model is at work with tools, and its thoughts of this turn are missing. */
export function lacksThoughts({ messages }: Conversation): boolean {
  const last = messages.findLast(({ role }) => role === "assistant");
  const isAtWork = messages.at(-1)?.content.some(({ type }) => type === "tool_result") === true;
  return isAtWork && last !== undefined && !/^(?:redacted_)?thinking$/.test(String(last.content[0]?.type));
}
