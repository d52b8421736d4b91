import { toAnthropicSchema } from "./anthropic-schema.ts";
import { toChatAnswer, toChatStream } from "./chat-to-anthropic-answer.ts";
import { type Conversation, lacksThoughts, toConversation } from "./chat-to-anthropic-messages.ts";
import { type ClaudeAbilities, claudeAbilities } from "./claude-abilities.ts";
import {
  invalidField,
  isGiven,
  isObject,
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

/** The tool that models without structured outputs are made to call; its input is the answer. */
const answerTool = "json_answer";

/** What would change the answer and cannot be had. Hints such as `seed` and the penalties are left out instead. */
const refusedFields: Readonly<Record<string, string>> = {
  logprobs: "Anthropic's models tell no probabilities. Leave out 'logprobs'.",
  audio: "Anthropic's models do not speak. Leave out 'audio'.",
  web_search_options: "Searching the web cannot be translated. Leave out 'web_search_options'.",
  functions: "'functions' is out of date. Send 'tools'.",
};

/**
 * Chat completions out of Anthropic's `POST /v1/messages`: how Anthropic serves everybody else's clients. Sources:
 * Anthropic's API reference (Messages, Streaming, Structured outputs, Thinking), OpenAI's API reference (Chat).
 * Which fields a model takes depends on the model, so the body is made for the one that is asked in the end.
 */
export const chatToAnthropic: Translator = {
  from: "chat.completions.create",
  to: "messages.create",
  translate(request, context) {
    refuseUnsupported(request);
    const model = requiredModel(request);
    const conversation = toConversation(request.messages);
    const format = readFormat(request.response_format);
    const bodyFor = (name: string) => Buffer.from(JSON.stringify(toBody(request, { conversation, format, name })));
    const options = {
      answerTool: format === undefined ? undefined : answerTool,
      includesUsage: isObject(request.stream_options) && request.stream_options.include_usage === true,
      nowSeconds: context.nowSeconds,
    };
    return {
      body: bodyFor(model),
      bodyFor,
      whole: (answer) => toChatAnswer(answer, options),
      stream: () => toChatStream(options),
    };
  },
};

interface Parts {
  readonly conversation: Conversation;
  /** The schema that the answer shall follow. */
  readonly format: JsonObject | undefined;
  readonly name: string;
}

function toBody(request: JsonObject, { conversation, format, name }: Parts): JsonObject {
  const abilities = claudeAbilities(name);
  const isToolForced = format !== undefined && !isNative(format, abilities);
  const tools = [
    ...optionalList(request.tools, "tools").map(toTool),
    ...(format !== undefined && isToolForced ? [toAnswerTool(format)] : []),
  ];
  const choice = isToolForced ? forcedChoice(tools.length) : toChoice(request, tools.length > 0);
  const limit = answerLimit(request) ?? abilities.answerTokens;
  const thinking = mayThink(conversation, choice, abilities)
    ? thinkingFields(request.reasoning_effort, limit, abilities)
    : {};
  const config = {
    ...(isObject(thinking.output_config) ? thinking.output_config : {}),
    ...(format !== undefined && !isToolForced
      ? { format: { type: "json_schema", schema: toAnthropicSchema(format) } }
      : {}),
  };
  return {
    model: name,
    max_tokens: limit,
    ...(conversation.system.length === 0 ? {} : { system: conversation.system }),
    messages: conversation.messages,
    ...(tools.length === 0 ? {} : { tools }),
    ...(choice === undefined ? {} : { tool_choice: choice }),
    ...stopFields(request.stop),
    ...samplingFields(request, abilities, isGiven(thinking.thinking)),
    ...(isGiven(thinking.thinking) ? { thinking: thinking.thinking } : {}),
    ...(Object.keys(config).length === 0 ? {} : { output_config: config }),
    ...(typeof request.user === "string" ? { metadata: { user_id: request.user } } : {}),
    stream: request.stream === true,
  };
}

function refuseUnsupported(request: JsonObject): void {
  const { n, modalities } = request;
  if (isGiven(n) && n !== 1) throw unsupportedField("n", "Anthropic's models give one answer. Leave out 'n'.");
  if (optionalList(modalities, "modalities").some((each) => each !== "text")) {
    throw unsupportedField("modalities", "Anthropic's models answer with text only.");
  }
  for (const [name, message] of Object.entries(refusedFields)) {
    if (isGiven(request[name]) && request[name] !== false) throw unsupportedField(name, message);
  }
}

function answerLimit({ max_completion_tokens: newer, max_tokens: older }: JsonObject): number | undefined {
  const param = isGiven(newer) ? "max_completion_tokens" : "max_tokens";
  const limit = newer ?? older;
  if (!isGiven(limit)) return undefined;
  if (typeof limit !== "number" || !Number.isInteger(limit) || limit < 1) throw invalidField(param, "a whole number");
  return limit;
}

function toTool(value: unknown, index: number): JsonObject {
  const param = `tools[${index}]`;
  const tool = requiredObject(value, param);
  if (tool.type !== "function") throw unsupportedField(`${param}.type`, "Only tools of the type 'function' are known.");
  const told = requiredObject(tool.function, `${param}.function`);
  return {
    name: requiredText(told.name, `${param}.function.name`),
    ...renamed(told, { description: "description", strict: "strict" }),
    input_schema: isGiven(told.parameters)
      ? requiredObject(told.parameters, `${param}.function.parameters`)
      : { type: "object", properties: {} },
    ...renamed(tool, { cache_control: "cache_control" }),
  };
}

function toChoice({ tool_choice: choice, parallel_tool_calls: parallel }: JsonObject, hasTools: boolean) {
  if (!hasTools) return undefined;
  const single = parallel === false ? { disable_parallel_tool_use: true } : {};
  if (!isGiven(choice)) return parallel === false ? { type: "auto", ...single } : undefined;
  if (choice === "none") return { type: "none" };
  if (choice === "auto") return { type: "auto", ...single };
  if (choice === "required") return { type: "any", ...single };
  const { type, function: told } = requiredObject(choice, "tool_choice");
  if (type !== "function") throw unsupportedField("tool_choice.type", "Only the choice of a 'function' is known.");
  const name = requiredText(requiredObject(told, "tool_choice.function").name, "tool_choice.function.name");
  return { type: "tool", name, ...single };
}

/** Beside other tools the answer is one of the choices. */
function forcedChoice(tools: number): { readonly type: "any" | "tool" } & JsonObject {
  return tools > 1 ? { type: "any" } : { type: "tool", name: answerTool };
}

/** Any object: what `json_object` asks for. */
const anyObject: JsonObject = { type: "object", additionalProperties: true };

function readFormat(value: unknown): JsonObject | undefined {
  if (!isGiven(value)) return undefined;
  const format = requiredObject(value, "response_format");
  switch (format.type) {
    case "text":
      return undefined;
    case "json_object":
      return anyObject;
    case "json_schema": {
      const param = "response_format.json_schema";
      const schema = requiredObject(requiredObject(format.json_schema, param).schema, `${param}.schema`);
      if (schema.type !== "object") throw invalidField(`${param}.schema.type`, '"object", as OpenAI demands it');
      return schema;
    }
    default:
      throw invalidField("response_format.type", '"text", "json_object" or "json_schema"');
  }
}

/** Structured outputs know closed objects only. */
function isNative(format: JsonObject, abilities: ClaudeAbilities): boolean {
  return abilities.structuredOutputs && format !== anyObject;
}

function toAnswerTool(schema: JsonObject): JsonObject {
  const description = "Gives the answer. Call this with the whole answer instead of writing it.";
  return { name: answerTool, description, input_schema: schema };
}

function stopFields(stop: unknown): JsonObject {
  if (!isGiven(stop)) return {};
  const list = typeof stop === "string" ? [stop] : optionalList(stop, "stop");
  // Anthropic refuses sequences of nothing but space.
  const sequences = list.filter((each) => typeof each !== "string" || each.trim() !== "");
  return sequences.length === 0 ? {} : { stop_sequences: sequences };
}

/** A model that thinks chooses its words by itself. Anthropic's temperatures end at 1. */
function samplingFields(request: JsonObject, { sampling }: ClaudeAbilities, thinks: boolean): JsonObject {
  if (sampling === "none" || thinks) return {};
  const { temperature, top_p: topP, top_k: topK } = request;
  const heat = typeof temperature === "number" ? { temperature: Math.min(temperature, 1) } : {};
  const isTopPTaken = isGiven(topP) && (sampling === "both" || !isGiven(temperature));
  return { ...heat, ...(isTopPTaken ? { top_p: topP } : {}), ...(isGiven(topK) ? { top_k: topK } : {}) };
}

/** A model that must call a tool does not think, nor does one that took up its work without thinking. */
function mayThink(conversation: Conversation, choice: JsonObject | undefined, { thinking }: ClaudeAbilities): boolean {
  if (choice?.type === "any" || choice?.type === "tool") return false;
  return thinking !== "budget" || !lacksThoughts(conversation);
}

/** Shares of an answer that thoughts may take, by effort; OpenRouter's are the same. */
const shares: Readonly<Record<string, number>> = { minimal: 0.1, low: 0.2, medium: 0.5, high: 0.8, xhigh: 0.95 };
/** Anthropic takes no smaller budget. */
const budgetMin = 1_024;

function thinkingFields(given: unknown, limit: number, abilities: ClaudeAbilities): JsonObject {
  const effort = optionalText(given, "reasoning_effort");
  if (effort === undefined || abilities.thinking === "none") return {};
  if (abilities.thinking === "adaptive") {
    // Not all of these models can be kept from thinking; all take the lowest level.
    if (effort === "none" || effort === "minimal") return { output_config: { effort: "low" } };
    return { thinking: { type: "adaptive", display: "summarized" }, output_config: { effort } };
  }
  const share = shares[effort];
  if (effort === "none") return {};
  if (share === undefined) throw invalidField("reasoning_effort", `"none", ${Object.keys(shares).join(", ")}`);
  const budget = Math.max(Math.floor(limit * share), budgetMin);
  // Thoughts count towards the limit: without room for words too, there are none.
  return budget < limit ? { thinking: { type: "enabled", budget_tokens: budget } } : {};
}
