import { toMessage, toMessageStream } from "./anthropic-answer.ts";
import { estimatePromptTokens } from "./anthropic-count.ts";
import { toChatMessages } from "./anthropic-messages.ts";
import {
  invalidField,
  isGiven,
  type JsonObject,
  optionalList,
  optionalText,
  renamed,
  requiredModel,
  requiredObject,
  requiredText,
  unsupportedField,
} from "./request-fields.ts";
import type { Translator } from "./translation.ts";

/** Fields of the same meaning. */
const sameFields: Readonly<Record<string, string>> = {
  model: "model",
  // Local servers know this name; not all of them know the newer one.
  max_tokens: "max_tokens",
  stop_sequences: "stop",
  temperature: "temperature",
  top_p: "top_p",
  top_k: "top_k",
};

/** OpenAI's limit for `user`; Claude Code's ids are longer, and begin with what tells people apart. */
const userCharactersMax = 64;

/**
 * Anthropic's `POST /v1/messages` out of chat completions. Source: Anthropic's API reference (Messages, Streaming).
 * `cache_control`, `service_tier`, `speed`, `inference_geo`, `context_management` and `diagnostics` are ignored: they
 * tune Anthropic's own servers and change no answer.
 */
export const anthropicToChat: Translator = {
  from: "messages.create",
  to: "chat.completions.create",
  translate(request, context) {
    const model = requiredModel(request);
    checkLimit(request.max_tokens);
    refuseServerSide(request);
    const stream = request.stream === true;
    const messages = toChatMessages(request.system, request.messages);
    const body = {
      ...renamed(request, sameFields),
      messages,
      ...toolFields(request),
      ...thinkingFields(request),
      ...formatFields(request),
      ...userFields(request.metadata),
      stream,
      ...(stream ? { stream_options: { include_usage: true } } : {}),
    };
    const options = {
      model,
      showsThoughts: showsThoughts(request.thinking),
      estimatePromptTokens: () => estimatePromptTokens(messages, optionalList(request.tools, "tools")),
      context,
    };
    return {
      body: Buffer.from(JSON.stringify(body)),
      whole: (answer) => toMessage(answer, options),
      stream: () => toMessageStream(options),
    };
  },
};

function checkLimit(limit: unknown): void {
  if (typeof limit !== "number" || !Number.isInteger(limit) || limit < 0) {
    throw invalidField("max_tokens", "a whole number, and it is required");
  }
  if (limit === 0) throw unsupportedField("max_tokens", "Caches cannot be filled ahead: ask for one token at least.");
}

/** What happens on Anthropic's own servers while they answer. */
function refuseServerSide(request: JsonObject): void {
  if (isGiven(request.container)) throw unsupportedField("container", "There are no containers here.");
  if (optionalList(request.mcp_servers, "mcp_servers").length > 0) {
    throw unsupportedField("mcp_servers", "Models here do not call MCP servers by themselves; give the tools instead.");
  }
}

function toolFields(request: JsonObject): JsonObject {
  const tools = optionalList(request.tools, "tools");
  if (tools.length === 0) return {};
  return { tools: tools.map(toChatTool), ...choiceFields(request.tool_choice) };
}

function toChatTool(value: unknown, index: number): JsonObject {
  const param = `tools[${index}]`;
  const tool = requiredObject(value, param);
  if (isGiven(tool.type) && tool.type !== "custom") {
    throw unsupportedField(
      `${param}.type`,
      `The tool '${String(tool.type)}' is one of Anthropic's own. Only tools with an 'input_schema' can be translated.`,
    );
  }
  return {
    type: "function",
    function: {
      name: requiredText(tool.name, `${param}.name`),
      ...renamed(tool, { description: "description", strict: "strict" }),
      parameters: requiredObject(tool.input_schema, `${param}.input_schema`),
    },
  };
}

function choiceFields(value: unknown): JsonObject {
  if (!isGiven(value)) return {};
  const choice = requiredObject(value, "tool_choice");
  return {
    tool_choice: toChatChoice(choice),
    ...(choice.disable_parallel_tool_use === true ? { parallel_tool_calls: false } : {}),
  };
}

function toChatChoice(choice: JsonObject): unknown {
  switch (choice.type) {
    case "auto":
    case "none":
      return choice.type;
    case "any":
      return "required";
    case "tool":
      return { type: "function", function: { name: requiredText(choice.name, "tool_choice.name") } };
    default:
      throw invalidField("tool_choice.type", '"auto", "any", "tool" or "none"');
  }
}

/**
 * How much the model shall think: the effort where it is said, else the thinking budget as a share of the answer. What
 * `reasoning_effort` is to some servers, a switch of the chat template is to others (vLLM, SGLang, llama.cpp).
 */
function thinkingFields({ thinking, output_config: config, max_tokens: limit }: JsonObject): JsonObject {
  const { effort } = isGiven(config) ? requiredObject(config, "output_config") : { effort: undefined };
  const said = optionalText(effort, "output_config.effort");
  const level = said === undefined ? undefined : (chatEfforts[said] ?? said);
  if (!isGiven(thinking)) return level === undefined ? {} : { reasoning_effort: level };
  const { type, budget_tokens: budget } = requiredObject(thinking, "thinking");
  switch (type) {
    case "disabled":
      return { chat_template_kwargs: { enable_thinking: false }, reasoning_effort: "none" };
    case "enabled":
    case "adaptive": {
      const share = typeof budget === "number" && typeof limit === "number" ? budget / limit : undefined;
      const wanted = level ?? (share === undefined ? undefined : effortOf(share));
      return {
        chat_template_kwargs: { enable_thinking: true },
        ...(wanted === undefined ? {} : { reasoning_effort: wanted }),
      };
    }
    case "between_tools":
      return level === undefined ? {} : { reasoning_effort: level };
    default:
      throw invalidField("thinking.type", '"enabled", "adaptive", "between_tools" or "disabled"');
  }
}

/** Levels above what open models know. */
const chatEfforts: Readonly<Record<string, string>> = { xhigh: "high", max: "high" };

/** Half way between the shares that `chatToAnthropic` gives to low, medium and high. */
function effortOf(share: number): "low" | "medium" | "high" {
  if (share <= 0.35) return "low";
  return share <= 0.65 ? "medium" : "high";
}

function showsThoughts(thinking: unknown): boolean {
  if (!isGiven(thinking)) return true;
  const { type, display } = requiredObject(thinking, "thinking");
  return type !== "disabled" && display !== "omitted";
}

/** `output_config.format`; the first version of the feature called it `output_format`. */
function formatFields({ output_config: config, output_format: older }: JsonObject): JsonObject {
  const newer = isGiven(config) ? requiredObject(config, "output_config").format : undefined;
  const param = isGiven(newer) ? "output_config.format" : "output_format";
  const given = newer ?? older;
  if (!isGiven(given)) return {};
  const format = requiredObject(given, param);
  if (format.type !== "json_schema") throw invalidField(`${param}.type`, '"json_schema"');
  const schema = requiredObject(format.schema, `${param}.schema`);
  return { response_format: { type: "json_schema", json_schema: { name: "answer", strict: true, schema } } };
}

function userFields(metadata: unknown): JsonObject {
  if (!isGiven(metadata)) return {};
  const user = optionalText(requiredObject(metadata, "metadata").user_id, "metadata.user_id");
  return user === undefined ? {} : { user: user.slice(0, userCharactersMax) };
}
