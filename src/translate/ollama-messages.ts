import { contentWithImages } from "./ollama-request.ts";
import {
  invalidField,
  isGiven,
  type JsonObject,
  optionalList,
  optionalText,
  requiredObject,
  requiredText,
} from "./request-fields.ts";

/** A call that waits for its result. */
interface OpenCall {
  readonly id: string;
  readonly name: string;
}

/**
 * Ollama's messages as those of a chat completion. Ollama's calls have no ids, at least not always: results belong to
 * the first open call of their name, or to the first one at all.
 * @throws NexusError `invalid_request`
 */
export function toChatMessages(value: unknown): readonly JsonObject[] {
  const messages = optionalList(value, "messages").map((message, index) =>
    requiredObject(message, `messages[${index}]`),
  );
  const lastUser = messages.findLastIndex(({ role }) => role === "user");
  const open: OpenCall[] = [];
  let made = 0;
  return messages.map((message, index) => {
    const param = `messages[${index}]`;
    const role = requiredText(message.role, `${param}.role`);
    const text = optionalText(message.content, `${param}.content`) ?? "";
    if (role === "tool") return { role, tool_call_id: takeCall(open, message), content: text };
    const content = contentWithImages(text, message.images, `${param}.images`);
    if (role !== "assistant") return { role, content };
    const calls = optionalList(message.tool_calls, `${param}.tool_calls`).map((call, place) =>
      toChatCall(call, `${param}.tool_calls[${place}]`, made++),
    );
    open.splice(0, open.length, ...calls.map(({ id, function: { name } }) => ({ id, name })));
    return {
      role,
      content: calls.length > 0 && content === "" ? null : content,
      // Models want their thoughts back while they work with tools, and templates drop those of earlier turns.
      ...(index > lastUser && isGiven(message.thinking) ? { reasoning_content: message.thinking } : {}),
      ...(calls.length > 0 ? { tool_calls: calls } : {}),
    };
  });
}

function toChatCall(value: unknown, param: string, number: number) {
  const call = requiredObject(value, param);
  const told = requiredObject(call.function, `${param}.function`);
  const { arguments: given } = told;
  if (isGiven(given) && typeof given !== "object") throw invalidField(`${param}.function.arguments`, "an object");
  return {
    id: optionalText(call.id, `${param}.id`) ?? `call_${number}`,
    type: "function",
    function: { name: requiredText(told.name, `${param}.function.name`), arguments: JSON.stringify(given ?? {}) },
  } as const;
}

function takeCall(open: OpenCall[], message: JsonObject): string {
  const { tool_call_id: id, tool_name: name, name: olderName } = message;
  const named = open.findIndex((call) => call.id === id || (id === undefined && call.name === (name ?? olderName)));
  const [call] = open.splice(Math.max(named, 0), 1);
  return call?.id ?? (typeof id === "string" ? id : "call_unknown");
}
