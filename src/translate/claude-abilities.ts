/** What a model of Anthropic's API takes; asking it for anything else is refused with status 400. */
export interface ClaudeAbilities {
  /** `one`: temperature or top_p, not both. `none`: neither, nor top_k. */
  readonly sampling: "both" | "one" | "none";
  /** `budget`: a number of tokens. `adaptive`: a level of effort. */
  readonly thinking: "none" | "budget" | "adaptive";
  /** Whether it holds to a JSON schema by itself; the others are made to call a tool with that schema. */
  readonly structuredOutputs: boolean;
  /** Tokens of an answer when the client names no limit, which Anthropic demands: what every such model can give. */
  readonly answerTokens: number;
}

/** Servers that copy the API take the fields that it had at first. */
const copies: ClaudeAbilities = { sampling: "both", thinking: "budget", structuredOutputs: false, answerTokens: 8_192 };

/**
 * What is known of a model by its id. Sources: Anthropic's model overview, migration guides and API errors: thinking
 * came with 3.7 and takes levels instead of budgets since 4.6; temperature and top_p exclude each other since 4.1 and are
 * refused since 4.7; structured outputs came with 4.1.
 */
export function claudeAbilities(model: string): ClaudeAbilities {
  const generation = generationOf(model);
  if (generation === undefined) return copies;
  return {
    sampling: generation >= 407 ? "none" : generation >= 401 ? "one" : "both",
    thinking: generation >= 406 ? "adaptive" : generation >= 307 ? "budget" : "none",
    structuredOutputs: generation >= 401,
    answerTokens: generation >= 307 ? 16_384 : generation >= 305 ? 8_192 : 4_096,
  };
}

/** `claude-3-7-sonnet-20250219` is 307, `claude-opus-4-5` 405, `claude-sonnet-5` 500; a Claude without a number is new. */
function generationOf(model: string): number | undefined {
  if (!/claude-/.test(model)) return undefined;
  const [, major, minor = "0"] = /claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2})(?!\d))?(?!\d)/.exec(model) ?? [];
  return major === undefined ? Number.POSITIVE_INFINITY : Number(major) * 100 + Number(minor);
}
