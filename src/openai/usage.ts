/** Tokens as the backend counted them. */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** Where an answer or an event may carry usage: at its top, or in the object that it is about. */
const usageHolders = ["response", "message"] as const;

/**
 * Usage from a parsed answer or stream event, or undefined when it carries none. Chat, completions and embeddings say
 * `prompt_tokens`; responses, messages, images and audio say `input_tokens`. A count that is not said is undefined:
 * Anthropic's streams tell the prompt at the start and the answer at the end.
 */
export function usageOf(value: unknown): Partial<Usage> | undefined {
  if (!isObject(value)) return undefined;
  const holder = isObject(value.usage) ? value : usageHolders.map((name) => value[name]).find(isObject);
  const usage = holder?.usage;
  if (!isObject(usage)) return undefined;
  const prompt = countOf(usage.prompt_tokens) ?? countOf(usage.input_tokens);
  const total = countOf(usage.total_tokens);
  const rest = prompt === undefined || total === undefined ? undefined : total - prompt;
  const completion = countOf(usage.completion_tokens) ?? countOf(usage.output_tokens) ?? rest;
  if (prompt === undefined && completion === undefined) return undefined;
  return {
    ...(prompt === undefined ? {} : { promptTokens: prompt }),
    ...(completion === undefined ? {} : { completionTokens: completion }),
  };
}

/** What is known after one more word about it. */
export function mergeUsage(known: Usage | undefined, news: Partial<Usage> | undefined): Usage | undefined {
  if (news === undefined) return known;
  return {
    promptTokens: news.promptTokens ?? known?.promptTokens ?? 0,
    completionTokens: news.completionTokens ?? known?.completionTokens ?? 0,
  };
}

/** The object after the last `"usage"` of a JSON body, one level of nested objects included. */
const usageObject = /"usage"\s*:\s*\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}/;

/** Usage from the bytes of a JSON answer, without parsing the rest of it: vectors and images make answers large. */
export function usageInBody(body: Buffer): Usage | undefined {
  const at = body.lastIndexOf('"usage"');
  if (at === -1) return undefined;
  const match = usageObject.exec(body.toString("utf8", at, at + 2_048));
  if (match === null) return undefined;
  try {
    return mergeUsage(undefined, usageOf(JSON.parse(`{${match[0]}}`)));
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function countOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}
