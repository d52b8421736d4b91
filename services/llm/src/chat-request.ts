import { NexusError } from "nexus/base";
import { describeIssues } from "nexus/contract";
import { z } from "zod";
import type { TemplateMessage } from "./chat-template.ts";
import { samplingFields } from "./sampling.ts";
import type { Tool, ToolChoice } from "./tool-calls.ts";

const textPart = z.looseObject({ type: z.string(), text: z.string().optional() });
const content = z.union([z.string(), z.array(textPart), z.null()]).optional();
const toolCall = z.looseObject({
  id: z.string().default(""),
  function: z.looseObject({ name: z.string(), arguments: z.string().default("{}") }),
});
const message = z.looseObject({
  role: z.enum(["system", "developer", "user", "assistant", "tool", "function"]),
  content,
  name: z.string().nullish(),
  tool_call_id: z.string().nullish(),
  tool_calls: z.array(toolCall).nullish(),
});
const nothing = (what: string) =>
  z
    .unknown()
    .optional()
    .refine(isAbsent, { error: `${what} is not supported by this service` });
const tool = z.looseObject({
  type: z.literal("function"),
  function: z.looseObject({
    name: z.string().regex(/^[a-zA-Z0-9_.-]{1,64}$/, "letters, digits, '_', '.' and '-', at most 64"),
    description: z.string().optional(),
    parameters: z.record(z.string(), z.unknown()).nullish(),
  }),
});
const namedChoice = z.looseObject({ type: z.literal("function"), function: z.looseObject({ name: z.string() }) });

const chatSchema = z.looseObject({
  model: z.string(),
  messages: z.array(message).min(1).max(4096),
  ...samplingFields,
  max_completion_tokens: z.int().positive().nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  response_format: z
    .discriminatedUnion("type", [
      z.looseObject({ type: z.literal("text") }),
      z.looseObject({ type: z.literal("json_object") }),
      z.looseObject({
        type: z.literal("json_schema"),
        json_schema: z.looseObject({ schema: z.record(z.string(), z.unknown()) }),
      }),
    ])
    .nullish(),
  tools: z.array(tool).max(128).nullish(),
  tool_choice: z.union([z.enum(["none", "auto", "required"]), namedChoice]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  logit_bias: nothing("logit_bias"),
  audio: nothing("audio"),
  functions: nothing("functions (use tools)"),
  function_call: nothing("function_call (use tool_choice)"),
  modalities: z.array(z.literal("text")).nullish(),
});

/** A chat request, checked. Fields that this service has no use for are left alone. */
export type ChatRequest = z.output<typeof chatSchema>;

/**
 * @throws NexusError `invalid_request` that names the field at fault; `unsupported_feature` for images and sound.
 */
export function parseChatRequest(body: unknown): ChatRequest {
  const request = parseRequest(chatSchema, body);
  for (const [index, { content }] of request.messages.entries()) {
    const other = Array.isArray(content) ? content.find((part) => part.type !== "text") : undefined;
    if (other !== undefined) {
      throw new NexusError("unsupported_feature", `This model reads text only, no ${other.type}.`, {
        param: `messages[${index}].content`,
      });
    }
  }
  return request;
}

/** Parses or throws `invalid_request` with the field as `param`. */
export function parseRequest<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const param = result.error.issues[0]?.path[0];
  throw new NexusError(
    "invalid_request",
    describeIssues(result.error),
    param === undefined ? {} : { param: String(param) },
  );
}

function isAbsent(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/** The messages as templates read them: text in one piece, arguments as values. */
export function toTemplateMessages(request: ChatRequest): readonly TemplateMessage[] {
  return request.messages.map(({ role, content, name, tool_call_id, tool_calls }) => ({
    role: role === "developer" ? "system" : role === "function" ? "tool" : role,
    content: Array.isArray(content) ? content.map((part) => part.text ?? "").join("") : (content ?? ""),
    ...(typeof name === "string" ? { name } : {}),
    ...(typeof tool_call_id === "string" ? { tool_call_id } : {}),
    ...(Array.isArray(tool_calls) && tool_calls.length > 0
      ? {
          tool_calls: tool_calls.map((call) => ({
            id: call.id,
            type: "function" as const,
            function: { name: call.function.name, arguments: parseArguments(call.function.arguments) },
          })),
        }
      : {}),
  }));
}

function parseArguments(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export interface RequestedTools {
  readonly tools: readonly Tool[];
  readonly choice: ToolChoice;
  readonly isParallel: boolean;
}

/** @throws NexusError `invalid_request` when the choice names no tool, or there are two of a name. */
export function requestedTools(request: ChatRequest): RequestedTools {
  const tools = (request.tools ?? []).map(({ function: { name, description, parameters } }) => ({
    name,
    description,
    parameters: parameters ?? undefined,
  }));
  const names = tools.map(({ name }) => name);
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) {
    throw new NexusError("invalid_request", `There are two tools named ${repeated}.`, { param: "tools" });
  }
  const given = request.tool_choice ?? "auto";
  const choice = typeof given === "string" ? given : { name: given.function.name };
  const isPossible =
    typeof choice === "string" ? tools.length > 0 || choice !== "required" : names.includes(choice.name);
  if (!isPossible) {
    throw new NexusError("invalid_request", "tool_choice asks for a function that is not among the tools.", {
      param: "tool_choice",
    });
  }
  return { tools, choice: tools.length === 0 ? "none" : choice, isParallel: request.parallel_tool_calls ?? true };
}
