import {
  invalidField,
  isGiven,
  type JsonObject,
  optionalList,
  renamed,
  requiredObject,
  requiredText,
  unsupportedField,
} from "./request-fields.ts";

const functionFields = {
  name: "name",
  description: "description",
  parameters: "parameters",
  strict: "strict",
} as const;

/**
 * The tools of a request, and which of them the model must or may use, as a chat completion asks for them. Only
 * functions can be: built-in tools run at OpenAI.
 * @throws NexusError `invalid_request` or `unsupported_feature`
 */
export function toChatTools(tools: unknown, choice: unknown): JsonObject {
  const functions = optionalList(tools, "tools").map((tool, index) => toChatTool(tool, `tools[${index}]`));
  const chosen = toChatChoice(choice);
  const { allowed } = chosen;
  const offered = allowed === undefined ? functions : functions.filter((tool) => allowed.has(tool.function.name));
  if (offered.length === 0) return {};
  return { tools: offered, ...(chosen.choice === undefined ? {} : { tool_choice: chosen.choice }) };
}

function toChatTool(value: unknown, param: string) {
  const tool = requiredObject(value, param);
  if (tool.type !== "function") throw unsupportedTool(requiredText(tool.type, `${param}.type`), `${param}.type`);
  const name = requiredText(tool.name, `${param}.name`);
  return { type: "function", function: { ...renamed(tool, functionFields), name } } as const;
}

interface ChatChoice {
  readonly choice?: unknown;
  /** The names of the only functions that may be called. */
  readonly allowed?: ReadonlySet<string>;
}

function toChatChoice(value: unknown): ChatChoice {
  if (!isGiven(value)) return {};
  if (typeof value === "string") return { choice: value };
  const choice = requiredObject(value, "tool_choice");
  switch (choice.type) {
    case "function":
      return { choice: { type: "function", function: { name: requiredText(choice.name, "tool_choice.name") } } };
    case "allowed_tools":
      return { choice: choice.mode ?? "auto", allowed: allowedNames(choice.tools) };
    default:
      throw unsupportedTool(requiredText(choice.type, "tool_choice.type"), "tool_choice.type");
  }
}

function allowedNames(tools: unknown): ReadonlySet<string> {
  if (!Array.isArray(tools)) throw invalidField("tool_choice.tools", "a list");
  const names = tools.map((value, index) => {
    const param = `tool_choice.tools[${index}]`;
    const tool = requiredObject(value, param);
    if (tool.type !== "function") throw unsupportedTool(requiredText(tool.type, `${param}.type`), `${param}.type`);
    return requiredText(tool.name, `${param}.name`);
  });
  return new Set(names);
}

function unsupportedTool(type: string, param: string) {
  return unsupportedField(
    param,
    `Tools of type '${type.slice(0, 64)}' run at OpenAI and cannot be had from the model's service. Use functions.`,
  );
}
