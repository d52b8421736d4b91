import { NexusError } from "nexus/base";
import type { LlamaModel, Token } from "node-llama-cpp";
import { type ChatRequest, type RequestedTools, toTemplateMessages } from "./chat-request.ts";
import { renderChat, type TemplateMessage } from "./chat-template.ts";
import { createGrammarBuilder } from "./json-schema-grammar.ts";
import type { ModelFacts } from "./model-facts.ts";
import { describeTools, toolExpression, writeToolCall } from "./tool-calls.ts";

/**
 * The tokens that the model reads for a chat request.
 * @throws NexusError `unsupported_feature` when the model has no chat template; `invalid_request` when that refuses.
 */
export function chatPrompt(
  request: ChatRequest,
  { tools, choice }: RequestedTools,
  facts: ModelFacts,
  model: Pick<LlamaModel, "tokenize" | "tokens">,
): Token[] {
  if (facts.chatTemplate === null) {
    throw new NexusError(
      "unsupported_feature",
      "This model was not trained to chat; it continues texts: POST /v1/completions.",
      {
        param: "model",
      },
    );
  }
  const messages = toTemplateMessages(request);
  const isOffering = choice !== "none";
  if (facts.hasTools) {
    const shown = isOffering ? tools.map((tool) => ({ type: "function", function: { ...tool } })) : undefined;
    return renderChat(facts.chatTemplate, { messages, tools: shown }, model);
  }
  const plain = messages.map(withoutTools);
  const described = isOffering ? withSystemText(plain, describeTools(tools)) : plain;
  return renderChat(facts.chatTemplate, { messages: described, tools: undefined }, model);
}

/** Templates without tools know no calls and no results: the first become text, the second come from the user. */
function withoutTools({ role, content, tool_calls }: TemplateMessage): TemplateMessage {
  const calls =
    tool_calls?.map((call) => writeToolCall(call.function.name, JSON.stringify(call.function.arguments))) ?? [];
  if (role === "tool") return { role: "user", content: `<tool_response>\n${content}\n</tool_response>` };
  return { role, content: [content, ...calls].filter((text) => text !== "").join("\n") };
}

function withSystemText(messages: readonly TemplateMessage[], text: string): readonly TemplateMessage[] {
  const [first, ...others] = messages;
  if (first?.role === "system") return [{ role: "system", content: `${first.content}\n\n${text}` }, ...others];
  return [{ role: "system", content: text }, ...messages];
}

/**
 * GBNF for what the request allows as an answer; undefined when anything goes.
 * @throws NexusError `invalid_request` when a schema cannot be enforced.
 */
export function chatGrammar(request: ChatRequest, { tools, choice, isParallel }: RequestedTools): string | undefined {
  const grammar = createGrammarBuilder();
  const format = request.response_format ?? { type: "text" };
  const answer =
    format.type === "json_schema"
      ? grammar.schema((format as { json_schema: { schema: unknown } }).json_schema.schema, "response_format")
      : format.type === "json_object"
        ? grammar.anyObject()
        : undefined;
  if (choice !== "none") return grammar.build(toolExpression(grammar, { tools, choice, isParallel, answer }));
  return answer === undefined ? undefined : grammar.build(answer);
}
