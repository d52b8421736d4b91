import {
  invalidField,
  isGiven,
  isObject,
  type JsonObject,
  optionalText,
  renamed,
  requiredObject,
  requiredText,
  unsupportedField,
} from "./request-fields.ts";

/** A message of a chat completion, as far as it is looked at again. */
type ChatMessage = Record<string, unknown> & { readonly role: string };

/**
 * What a request says, as the messages of a chat completion.
 * @throws NexusError `invalid_request` or `unsupported_feature`, with the path of the item as `param`.
 */
export function toChatMessages(input: unknown, instructions: unknown): readonly JsonObject[] {
  const messages: ChatMessage[] = [];
  const system = optionalText(instructions, "instructions");
  if (system !== undefined && system !== "") messages.push({ role: "system", content: system });
  for (const [index, item] of inputItems(input).entries()) addItem(messages, item, `input[${index}]`);
  return forgetOldThoughts(messages);
}

function inputItems(input: unknown): readonly JsonObject[] {
  if (typeof input === "string") return [{ type: "message", role: "user", content: input }];
  if (!Array.isArray(input)) throw invalidField("input", "a string or a list of items");
  return input.map((item, index) => requiredObject(item, `input[${index}]`));
}

function addItem(messages: ChatMessage[], item: JsonObject, param: string): void {
  const type = item.type ?? (isGiven(item.role) ? "message" : undefined);
  const add = typeof type === "string" && Object.hasOwn(itemAdders, type) ? itemAdders[type] : undefined;
  if (add === undefined) {
    const named = String(type).slice(0, 64);
    throw unsupportedField(`${param}.type`, `Items of type '${named}' cannot be given to the model's service.`);
  }
  add(messages, item, param);
}

const itemAdders: Readonly<Record<string, (messages: ChatMessage[], item: JsonObject, param: string) => void>> = {
  message: addMessage,
  reasoning: addThought,
  function_call: addCall,
  function_call_output: addCallOutput,
};

function addMessage(messages: ChatMessage[], item: JsonObject, param: string): void {
  const asked = requiredText(item.role, `${param}.role`);
  // Only OpenAI's own models tell the two apart; the templates of others know no developer.
  const role = asked === "developer" ? "system" : asked;
  const content = toChatContent(item.content, `${param}.content`);
  const last = messages.at(-1);
  const joins = role === last?.role && typeof last.content === "string" && typeof content === "string";
  // Many templates take one system message only, and only at the beginning.
  if (role === "system" && joins) last.content = `${last.content}\n\n${content}`;
  else if (role === "assistant" && last !== undefined && isThoughtOnly(last)) last.content = content;
  else messages.push({ role, content });
}

/** A thought is part of the assistant's message that comes after it. */
function addThought(messages: ChatMessage[], item: JsonObject): void {
  const parts = [item.content, item.summary].find((list) => Array.isArray(list) && list.length > 0);
  if (!Array.isArray(parts)) return;
  const text = parts.map((part) => (isObject(part) && typeof part.text === "string" ? part.text : "")).join("\n");
  if (text !== "") messages.push({ role: "assistant", content: null, reasoning_content: text });
}

/** Calls belong to what the assistant said last; several of them are one message. */
function addCall(messages: ChatMessage[], item: JsonObject, param: string): void {
  const call = {
    id: requiredText(item.call_id, `${param}.call_id`),
    type: "function",
    function: {
      name: requiredText(item.name, `${param}.name`),
      arguments: requiredText(item.arguments, `${param}.arguments`),
    },
  };
  const last = messages.at(-1);
  if (last?.role !== "assistant") messages.push({ role: "assistant", content: null, tool_calls: [call] });
  else last.tool_calls = [...(Array.isArray(last.tool_calls) ? last.tool_calls : []), call];
}

function addCallOutput(messages: ChatMessage[], item: JsonObject, param: string): void {
  messages.push({
    role: "tool",
    tool_call_id: requiredText(item.call_id, `${param}.call_id`),
    content: toChatContent(item.output, `${param}.output`),
  });
}

function isThoughtOnly(message: ChatMessage): boolean {
  return message.role === "assistant" && message.content === null && message.tool_calls === undefined;
}

/**
 * Models want their thoughts back while they work with tools. Templates drop those of earlier turns, and a thought that
 * led to nothing is no message.
 */
function forgetOldThoughts(messages: readonly ChatMessage[]): readonly JsonObject[] {
  const said = messages.filter((message) => !isThoughtOnly(message));
  const lastUser = said.findLastIndex(({ role }) => role === "user");
  return said.map((message, index) => {
    const { reasoning_content: thought, ...rest } = message;
    return index < lastUser || thought === undefined ? rest : message;
  });
}

/** Text alone as text, several parts or images as parts. */
function toChatContent(content: unknown, param: string): unknown {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) throw invalidField(param, "a string or a list of parts");
  const parts = content.map((part, index) => toChatPart(part, `${param}[${index}]`));
  if (parts.every((part) => part.type === "text")) return parts.map(({ text }) => text).join("\n");
  return parts;
}

function toChatPart(value: unknown, param: string): JsonObject & { readonly type: string } {
  const part = requiredObject(value, param);
  switch (part.type) {
    case "input_text":
    case "output_text":
    case "text":
      return { type: "text", text: requiredText(part.text, `${param}.text`) };
    case "refusal":
      return { type: "text", text: requiredText(part.refusal, `${param}.refusal`) };
    case "input_image":
      refuseStoredFile(part, param);
      return {
        type: "image_url",
        image_url: {
          url: requiredText(part.image_url, `${param}.image_url`),
          ...(isGiven(part.detail) ? { detail: part.detail } : {}),
        },
      };
    case "input_file":
      refuseStoredFile(part, param);
      requiredText(part.file_data, `${param}.file_data`);
      return { type: "file", file: renamed(part, { filename: "filename", file_data: "file_data" }) };
    case "input_audio":
      return { type: "input_audio", input_audio: requiredObject(part.input_audio, `${param}.input_audio`) };
    default:
      throw invalidField(`${param}.type`, "input_text, input_image, input_file, input_audio, output_text or refusal");
  }
}

function refuseStoredFile(part: JsonObject, param: string): void {
  for (const name of ["file_id", "file_url"] as const) {
    if (!isGiven(part[name])) continue;
    throw unsupportedField(`${param}.${name}`, "Files are not fetched for the model's service. Send the bytes inline.");
  }
}
