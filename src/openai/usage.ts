/** Tokens as the backend counted them. */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** Usage from a parsed answer or stream event, or undefined when it carries none. */
export function usageOf(value: unknown): Usage | undefined {
  if (typeof value !== "object" || value === null || !("usage" in value)) return undefined;
  const { usage } = value;
  if (typeof usage !== "object" || usage === null) return undefined;
  const { prompt_tokens, completion_tokens, total_tokens } = usage as Record<string, unknown>;
  if (typeof prompt_tokens !== "number") return undefined;
  const total = typeof total_tokens === "number" ? total_tokens : prompt_tokens;
  const completion = typeof completion_tokens === "number" ? completion_tokens : total - prompt_tokens;
  return { promptTokens: prompt_tokens, completionTokens: completion };
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
    return usageOf(JSON.parse(`{${match[0]}}`));
  } catch {
    return undefined;
  }
}
