import { type Block, contentOf, readBlocks, toParts } from "./anthropic-content.ts";
import {
  invalidField,
  isGiven,
  type JsonObject,
  optionalList,
  requiredObject,
  requiredText,
  unsupportedField,
} from "./request-fields.ts";

type Role = "user" | "assistant" | "system";

/** Neighbouring messages of one role: Anthropic takes them for one turn. */
interface Turn {
  readonly role: Role;
  readonly blocks: Block[];
}

/**
 * Claude Code begins its system prompt with a line for Anthropic's accounting that differs in every request. A model
 * has no use for it, and it would spoil the prompt's cache.
 */
const accountingLine = /^x-anthropic-billing-header:/;

/**
 * Anthropic's system prompt and messages as those of a chat completion.
 * @throws NexusError `invalid_request` or `unsupported_feature`
 */
export function toChatMessages(system: unknown, messages: unknown): readonly JsonObject[] {
  const turns = readTurns(messages);
  const lastQuestion = turns.findLastIndex(
    ({ role, blocks }) => role === "user" && blocks.some(({ block }) => block.type !== "tool_result"),
  );
  return [
    ...systemMessage(readBlocks(system, "system")),
    ...turns.flatMap(({ role, blocks }, index) => {
      if (role === "system") return systemMessage(blocks);
      // Models want their thoughts back while they work with tools; templates drop those of earlier turns.
      return role === "user" ? userMessages(blocks) : [assistantMessage(blocks, index > lastQuestion)];
    }),
  ];
}

function readTurns(messages: unknown): readonly Turn[] {
  const turns: Turn[] = [];
  const list = optionalList(messages, "messages");
  if (list.length === 0) throw invalidField("messages", "a list with at least one message");
  for (const [index, value] of list.entries()) {
    const param = `messages[${index}]`;
    const { role, content } = requiredObject(value, param);
    if (role !== "user" && role !== "assistant" && role !== "system") {
      throw invalidField(`${param}.role`, '"user", "assistant" or "system"');
    }
    if (!isGiven(content)) throw invalidField(`${param}.content`, "a string or a list of blocks");
    const blocks = readBlocks(content, `${param}.content`);
    const last = turns.at(-1);
    if (last?.role === role) last.blocks.push(...blocks);
    else turns.push({ role, blocks: [...blocks] });
  }
  return turns;
}

function systemMessage(blocks: readonly Block[]): readonly JsonObject[] {
  const texts = blocks.map(({ block, param }) => {
    if (block.type !== "text") throw invalidField(`${param}.type`, '"text"');
    return requiredText(block.text, `${param}.text`);
  });
  const content = texts.filter((text) => text !== "" && !accountingLine.test(text)).join("\n");
  return content === "" ? [] : [{ role: "system", content }];
}

/** Results of tools come first: each chat message answers one call. What else was said follows. */
function userMessages(blocks: readonly Block[]): readonly JsonObject[] {
  const results: JsonObject[] = [];
  const shown: JsonObject[] = [];
  const said: JsonObject[] = [];
  for (const item of blocks) {
    if (item.block.type !== "tool_result") {
      said.push(...toParts(item));
      continue;
    }
    const { message, images } = toolResult(item);
    results.push(message);
    shown.push(...images);
  }
  const parts = [...shown, ...said];
  return parts.length === 0 && results.length > 0 ? results : [...results, { role: "user", content: contentOf(parts) }];
}

/** A tool's message holds text only; the images that it showed are said to come from it. */
function toolResult({ block, param }: Block): { message: JsonObject; images: readonly JsonObject[] } {
  const id = requiredText(block.tool_use_id, `${param}.tool_use_id`);
  const parts = readBlocks(block.content, `${param}.content`).flatMap(toParts);
  const texts = parts.filter(({ type }) => type === "text").map(({ text }) => text);
  const images = parts.filter(({ type }) => type !== "text");
  const text = texts.join("\n");
  const content = block.is_error === true && !/^error/i.test(text) ? `Error: ${text}` : text;
  return {
    message: { role: "tool", tool_call_id: id, content },
    images: images.length === 0 ? [] : [{ type: "text", text: `Shown by the tool call ${id}:` }, ...images],
  };
}

function assistantMessage(blocks: readonly Block[], keepsThoughts: boolean): JsonObject {
  const texts: string[] = [];
  const thoughts: string[] = [];
  const calls: JsonObject[] = [];
  for (const { block, param } of blocks) {
    switch (block.type) {
      case "text":
        texts.push(requiredText(block.text, `${param}.text`));
        break;
      case "thinking":
        thoughts.push(requiredText(block.thinking, `${param}.thinking`));
        break;
      case "redacted_thinking":
        break;
      case "tool_use":
        calls.push(toCall(block, param));
        break;
      default:
        throw unsupportedField(`${param}.type`, `Content of the type '${String(block.type)}' cannot be translated.`);
    }
  }
  const text = texts.join("");
  return {
    role: "assistant",
    content: calls.length > 0 && text === "" ? null : text,
    ...(keepsThoughts && thoughts.length > 0 ? { reasoning_content: thoughts.join("\n") } : {}),
    ...(calls.length > 0 ? { tool_calls: calls } : {}),
  };
}

function toCall(block: JsonObject, param: string): JsonObject {
  const input = requiredObject(block.input ?? {}, `${param}.input`);
  return {
    id: requiredText(block.id, `${param}.id`),
    type: "function",
    function: { name: requiredText(block.name, `${param}.name`), arguments: JSON.stringify(input) },
  };
}
