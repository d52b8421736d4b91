import { invalidField, type JsonObject } from "./request-fields.ts";

/** What the fleet knows of a model, as far as Anthropic's clients ask for it. */
export interface AnthropicModelSource {
  readonly name: string;
  readonly domains: readonly string[];
  /** Tokens of prompt and answer together. */
  readonly contextWindow: number | null;
  /** Seconds since 1970: when it was first seen. */
  readonly createdSeconds: number;
}

/** As Anthropic's own list has them. Source: its API reference (Models). */
const limitUsual = 20;
const limitMax = 1_000;

/** A model in the shape of Anthropic's API: `GET /v1/models/{id}`. What only Anthropic could know of it is null. */
export function anthropicModel({ name, contextWindow, createdSeconds }: AnthropicModelSource): JsonObject {
  return {
    type: "model",
    id: name,
    display_name: name,
    created_at: new Date(createdSeconds * 1_000).toISOString(),
    max_input_tokens: contextWindow,
    max_tokens: null,
    capabilities: null,
    lifecycle: "active",
    line: null,
    deprecated_at: null,
    retires_at: null,
  };
}

/**
 * A page of `GET /v1/models` in the shape of Anthropic's API: models that answer messages, in the order of `models`, which
 * is that of their names. `after_id` and `before_id` are places among the names: a model that has gone in the meantime
 * still marks one.
 * @throws NexusError `invalid_request`
 */
export function anthropicModelPage(models: readonly AnthropicModelSource[], query: URLSearchParams): JsonObject {
  const limit = Number(query.get("limit") ?? limitUsual);
  if (!Number.isInteger(limit) || limit < 1 || limit > limitMax) {
    throw invalidField("limit", `a whole number from 1 to ${limitMax}`);
  }
  const [after, before] = [query.get("after_id"), query.get("before_id")];
  const found = models.filter(
    ({ name, domains }) =>
      domains.includes("chat") && (after === null || name > after) && (before === null || name < before),
  );
  const isBackwards = before !== null && after === null;
  const page = isBackwards ? found.slice(-limit) : found.slice(0, limit);
  return {
    data: page.map(anthropicModel),
    has_more: page.length < found.length,
    first_id: page.at(0)?.name ?? null,
    last_id: page.at(-1)?.name ?? null,
  };
}
