import { randomBytes } from "node:crypto";
import type { GrammarBuilder } from "./json-schema-grammar.ts";
import { literal } from "./json-schema-grammar.ts";

/** A function that the model may call. */
export interface Tool {
  readonly name: string;
  readonly description: string | undefined;
  /** JSON schema of its arguments. */
  readonly parameters: unknown;
}

/** `required`: at least one call. A name: exactly one call of that function. */
export type ToolChoice = "none" | "auto" | "required" | { readonly name: string };

/** A call as OpenAI's API has it. */
export interface ToolCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

const opening = "<tool_call>";
const closing = "</tool_call>";
const callsMax = 8;

/** For models whose template does not show tools: how a call is written, and what can be called. */
export function describeTools(tools: readonly Tool[]): string {
  const lines = tools.map((tool) =>
    JSON.stringify({ name: tool.name, description: tool.description, parameters: tool.parameters }),
  );
  return [
    "You can call these functions, one JSON object a line:",
    ...lines,
    `To call one, answer only with ${opening}`,
    '{"name": "function name", "arguments": {...}}',
    closing,
  ].join("\n");
}

/** The text of a call: what the model has written, or will. */
export function writeToolCall(name: string, argumentsJson: string): string {
  return `${opening}\n{"name": ${JSON.stringify(name)}, "arguments": ${argumentsJson}}\n${closing}`;
}

export interface ToolGrammarOptions {
  readonly tools: readonly Tool[];
  readonly choice: Exclude<ToolChoice, "none">;
  readonly isParallel: boolean;
  /** What an answer without a call must follow; undefined is any text. */
  readonly answer: string | undefined;
}

/**
 * An expression whose answers are calls with valid arguments, or, when the choice is `auto`, an answer that does not
 * begin like one.
 * @throws NexusError `invalid_request` when the schema of some arguments cannot be enforced.
 */
export function toolExpression(grammar: GrammarBuilder, options: ToolGrammarOptions): string {
  const { tools, choice, isParallel, answer } = options;
  const callable = typeof choice === "object" ? tools.filter(({ name }) => name === choice.name) : tools;
  const calls = callable.map((tool) => {
    const [before, after] = writeToolCall(tool.name, "\0").split("\0");
    const parameters = grammar.schema(tool.parameters ?? { type: "object", properties: {} }, "tools");
    return grammar.rule(`${literal(before ?? "")} ${parameters} ${literal(after ?? "")}`);
  });
  const call = grammar.rule(calls.join(" | "));
  const most = isParallel && typeof choice === "string" ? callsMax : 1;
  const all = most === 1 ? call : grammar.rule(`${call} ("\\n" ${call}){0,${most - 1}}`);
  if (choice !== "auto") return all;
  return grammar.rule(`${all} | ${answer ?? '([^<] | "<" [^t]) anything | ""'}`);
}

/** Splits a stream of text into an answer and calls. */
export interface ToolCallReader {
  push(text: string): { readonly content: string; readonly calls: readonly ToolCall[] };
  /** The rest. A call that the end cut off comes out as far as it goes, when at least its name is known. */
  flush(): { readonly content: string; readonly calls: readonly ToolCall[] };
}

export function createToolCallReader(): ToolCallReader {
  let held = "";
  let mode: "unknown" | "content" | "calls" = "unknown";
  const read = (isEnd: boolean) => {
    if (mode === "unknown") {
      if (held.startsWith(opening)) mode = "calls";
      else if (isEnd || !opening.startsWith(held)) mode = "content";
      else return { content: "", calls: [] };
    }
    if (mode === "content") {
      const content = held;
      held = "";
      return { content, calls: [] };
    }
    return { content: "", calls: takeCalls(isEnd) };
  };
  const takeCalls = (isEnd: boolean): ToolCall[] => {
    const parts = held.split(closing);
    const rest = parts.pop() ?? "";
    held = isEnd ? "" : rest;
    return [...parts, ...(isEnd ? [rest] : [])].flatMap(parseCall);
  };
  return {
    push(text) {
      held += text;
      return read(false);
    },
    flush: () => read(true),
  };
}

const callPattern = /<tool_call>\s*\{\s*"name":\s*("(?:[^"\\]|\\.)*"),\s*"arguments":\s*(.*)$/s;

function parseCall(text: string): ToolCall[] {
  const [, name, rest] = callPattern.exec(text) ?? [];
  if (name === undefined || rest === undefined) return [];
  const complete = rest.trimEnd().replace(/\}$/, "").trimEnd();
  const argumentsJson = isJson(complete) ? complete : rest;
  const id = `call_${randomBytes(12).toString("hex")}`;
  return [{ id, type: "function", function: { name: JSON.parse(name) as string, arguments: argumentsJson } }];
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
