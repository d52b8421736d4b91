import { JsonScanner } from "./json-scanner.ts";

/** Longer answers are not continued: their text is kept in memory until they end. */
const textCharactersMax = 1_000_000;

/** Members of a request that make an answer one that nobody else can go on with. */
const unsuitable: Readonly<Record<string, (value: unknown) => boolean>> = {
  n: (value) => value !== 1,
  logprobs: (value) => value !== false,
  top_logprobs: (value) => value !== 0,
  // A grammar begins at its beginning again, in the middle of the answer.
  response_format: (value) => (value as { type?: unknown }).type !== "text",
  structured_outputs: () => true,
  guided_json: () => true,
  guided_regex: () => true,
  guided_choice: () => true,
  guided_grammar: () => true,
  grammar: () => true,
  json_schema: () => true,
  echo: (value) => value !== false,
};

/** What asks vLLM, and newer builds of llama.cpp, to go on with the last message. */
const continueFlags = ["continue_final_message", "add_generation_prompt"];

const tokenLimits = ["max_tokens", "max_completion_tokens", "n_predict"];

/**
 * Kinds of servers, as records name them, that go on with a message of the assistant's at the end of a conversation:
 * vLLM when the flags say so (since autumn 2024); llama.cpp by itself (since spring 2025; `--no-prefill-assistant`
 * switches it off), in newer builds also by the flags. Others would begin a second answer. Where the model thinks
 * first, llama.cpp refuses, and the stream stays cut.
 */
const continuing: ReadonlySet<string> = new Set(["vllm", "llama-cpp"]);

export function canContinue(dialect: string): boolean {
  return continuing.has(dialect);
}

/** One event of a chat completion's stream, as far as it matters here. */
interface Chunk {
  id?: unknown;
  model?: unknown;
  created?: unknown;
  error?: unknown;
  choices?: readonly Choice[];
  usage?: Record<string, unknown> | null;
}

interface Choice {
  index?: unknown;
  delta?: Record<string, unknown> | null;
  logprobs?: unknown;
  finish_reason?: unknown;
}

/**
 * What a client has got of a streamed chat completion, kept so that another instance can go on with it when the stream
 * is cut. Understands only plain text; anything else makes it refuse.
 */
export class AnswerSoFar {
  #text = "";
  #refusal: string | undefined;
  #tokens = 0;
  #head: Pick<Chunk, "id" | "model" | "created"> | undefined;

  /** Why it cannot be continued; undefined when it can. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  get text(): string {
    return this.#text;
  }

  /** Tokens of the text: as the server counted them, else one for each piece, which is the least that they can be. */
  get tokens(): number {
    return this.#tokens;
  }

  /** How its first event named itself; the rest must do the same. Undefined before the first event. */
  get head(): Pick<Chunk, "id" | "model" | "created"> | undefined {
    return this.#head;
  }

  /** Takes whole events as they go to the client. */
  push(events: Buffer): void {
    for (const data of dataOf(events)) {
      if (this.#refusal !== undefined) return;
      this.#refusal = this.#take(data);
    }
  }

  #take(data: string): string | undefined {
    if (data === "[DONE]") return "the answer was complete";
    const chunk = parseChunk(data);
    if (chunk === undefined) return "an event could not be read";
    if (chunk.error !== undefined) return "the instance reported an error";
    this.#head ??= { id: chunk.id, model: chunk.model, created: chunk.created };
    for (const choice of chunk.choices ?? []) {
      const refusal = this.#takeChoice(choice);
      if (refusal !== undefined) return refusal;
    }
    const counted = chunk.usage?.completion_tokens;
    if (typeof counted === "number" && counted > this.#tokens) this.#tokens = counted;
    return undefined;
  }

  #takeChoice({ index = 0, delta, logprobs, finish_reason }: Choice): string | undefined {
    if (index !== 0) return "there was more than one choice";
    if (typeof finish_reason === "string") return "the answer was complete";
    if (logprobs !== undefined && logprobs !== null) return "there were log probabilities";
    for (const [name, value] of Object.entries(delta ?? {})) {
      if (name === "role" || isNothing(value)) continue;
      if (name !== "content" || typeof value !== "string") return `there was more than text (${name})`;
      this.#text += value;
      this.#tokens++;
    }
    return this.#text.length > textCharactersMax ? "the answer is too long" : undefined;
  }
}

/**
 * The request that asks for the rest: the original bytes, with what was said so far as the last message, and fewer
 * tokens allowed. Or why there can be none.
 */
export function continueRequest(body: Buffer, soFar: AnswerSoFar): { body: Buffer } | { refusal: string } {
  if (soFar.refusal !== undefined) return { refusal: soFar.refusal };
  const members = membersOf(body);
  if (members === undefined) return { refusal: "a field of the request appears twice" };
  for (const [name, { value }] of members) {
    if (continueFlags.includes(name) || (value !== null && unsuitable[name]?.(value) === true)) {
      return { refusal: `the request has '${name}'` };
    }
  }
  const messages = members.get("messages");
  const last = Array.isArray(messages?.value) ? (messages.value.at(-1) as { role?: unknown } | undefined) : undefined;
  if (messages === undefined || last === undefined) return { refusal: "the request has no messages" };
  if (last.role === "assistant") return { refusal: "the client continues a message of its own" };
  const edits: Edit[] = [];
  for (const name of tokenLimits) {
    const limit = members.get(name);
    // Negative numbers are llama.cpp's way to say that there is no limit.
    if (typeof limit?.value !== "number" || limit.value < 0) continue;
    const left = limit.value - soFar.tokens;
    if (left < 1) return { refusal: "no tokens are left" };
    edits.push({ start: limit.start, end: limit.end, text: String(left) });
  }
  // Templates trim messages, and models like to begin with a space: what is cut off here, `ContinuationFilter` expects.
  const content = soFar.text.trimEnd();
  if (content === "") return { body: applyEdits(body, edits) };
  const said = JSON.stringify({ role: "assistant", content });
  edits.push({ start: messages.end - 1, end: messages.end - 1, text: `,${said}` });
  const inside = body.indexOf("{") + 1;
  edits.push({ start: inside, end: inside, text: '"continue_final_message":true,"add_generation_prompt":false,' });
  return { body: applyEdits(body, edits) };
}

/**
 * Makes the rest look like one stream with what came before: same id and model, no second introduction, usage over
 * both. Events that it cannot read pass as they are.
 */
export class ContinuationFilter {
  readonly #head: AnswerSoFar["head"];
  readonly #tokensBefore: number;
  /** White space at the end of what the client has: the second instance was not told and may say it again. */
  #blank: string;

  constructor(soFar: AnswerSoFar) {
    this.#head = soFar.head;
    this.#tokensBefore = soFar.tokens;
    this.#blank = soFar.text.slice(soFar.text.trimEnd().length);
  }

  /** Takes whole events of the second stream and returns those that the client shall see. */
  push(events: Buffer): Buffer {
    const passed: string[] = [];
    for (const data of dataOf(events)) {
      const chunk = data === "[DONE]" ? undefined : parseChunk(data);
      if (chunk === undefined || chunk.error !== undefined) passed.push(data);
      else if (this.#head === undefined || !isIntroduction(chunk)) passed.push(JSON.stringify(this.#adapt(chunk)));
    }
    return Buffer.from(passed.map((data) => `data: ${data}\n\n`).join(""));
  }

  #adapt(chunk: Chunk): Chunk {
    for (const { delta } of chunk.choices ?? []) {
      if (this.#head !== undefined) delete delta?.role;
      if (typeof delta?.content === "string") delta.content = this.#withoutBlank(delta.content);
    }
    return { ...chunk, ...this.#head, ...(chunk.usage ? { usage: this.#addUsage(chunk.usage) } : {}) };
  }

  #withoutBlank(content: string): string {
    let at = 0;
    while (at < content.length && at < this.#blank.length && content[at] === this.#blank[at]) at++;
    this.#blank = at < content.length ? "" : this.#blank.slice(at);
    return content.slice(at);
  }

  /** What was said before counts as completion; for the second instance it was part of the prompt. */
  #addUsage(usage: Record<string, unknown>): Record<string, unknown> {
    const { prompt_tokens: prompt, completion_tokens: completion } = usage;
    if (typeof prompt !== "number" || typeof completion !== "number") return usage;
    const before = Math.min(this.#tokensBefore, prompt);
    return { ...usage, prompt_tokens: prompt - before, completion_tokens: completion + before };
  }
}

/** An event that says who speaks and nothing else. */
function isIntroduction({ choices = [], usage }: Chunk): boolean {
  if (choices.length === 0 || usage) return false;
  return choices.every(
    ({ delta, finish_reason }) =>
      !finish_reason && Object.entries(delta ?? {}).every(([name, value]) => name === "role" || isNothing(value)),
  );
}

function isNothing(value: unknown): boolean {
  return value === null || value === undefined || value === "" || (Array.isArray(value) && value.length === 0);
}

/** What whole events say, one text for each (WHATWG HTML, 9.2.6): comments and other fields are no data. */
function dataOf(events: Buffer): readonly string[] {
  return events
    .toString("utf8")
    .split(/\r?\n\r?\n/)
    .map((event) =>
      event
        .split(/\r?\n/)
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(line.startsWith("data: ") ? 6 : 5))
        .join("\n"),
    )
    .filter((data) => data !== "");
}

function parseChunk(data: string): Chunk | undefined {
  try {
    const chunk: unknown = JSON.parse(data);
    if (typeof chunk !== "object" || chunk === null) return undefined;
    const { choices = [] } = chunk as { choices?: unknown };
    return Array.isArray(choices) && choices.every(isObject) ? chunk : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

/** A member of the outermost object: its value, and where that stands. */
interface Member {
  readonly value: unknown;
  readonly start: number;
  readonly end: number;
}

/** Undefined when one appears twice: two parsers could differ. */
function membersOf(body: Buffer): ReadonlyMap<string, Member> | undefined {
  const starts: [name: string, start: number][] = [];
  new JsonScanner(body, (keyStart, keyEnd, valueStart, depth) => {
    if (depth === 1) starts.push([String(JSON.parse(body.toString("utf8", keyStart, keyEnd))), valueStart]);
  }).document();
  const measure = new JsonScanner(body, () => {});
  const members = new Map<string, Member>();
  for (const [name, start] of starts) {
    if (members.has(name)) return undefined;
    const end = measure.value(start, 1);
    members.set(name, { start, end, value: JSON.parse(body.toString("utf8", start, end)) as unknown });
  }
  return members;
}

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

function applyEdits(body: Buffer, edits: readonly Edit[]): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (const { start, end, text } of edits.toSorted((left, right) => left.start - right.start)) {
    parts.push(body.subarray(at, start), Buffer.from(text));
    at = end;
  }
  return Buffer.concat([...parts, body.subarray(at)]);
}
