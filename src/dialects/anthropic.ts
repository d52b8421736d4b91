import { composeDescription } from "./compose-description.ts";
import type { Dialect, ModelInput } from "./dialect.ts";
import type { Probe } from "./probe.ts";
import { asCount, asFlag, asList, asText, at } from "./read-json.ts";

/** As many as a page may have; Anthropic has never listed that many. */
const listPath = "/v1/models?limit=1000";

/** Anthropic's list marks each entry as a model and has no `object`, as OpenAI's has. */
async function entriesOf(probe: Probe): Promise<readonly unknown[]> {
  const { status, json } = await probe.get(listPath, "anthropic");
  if (status !== 200 || at(json, "object") !== undefined) return [];
  const entries = asList(at(json, "data"));
  return entries.every((entry) => at(entry, "type") === "model") ? entries : [];
}

/**
 * Anthropic, and whoever copies its API: known by its list of models, which costs nothing. Sources: its API reference
 * (Models, Messages). What a model can is in the list (`capabilities`, `max_input_tokens`); where a server leaves that
 * out, what every Claude since the third can is taken.
 */
export const anthropicDialect: Dialect = {
  name: "anthropic",
  async recognises(probe) {
    // Whoever answers the usual question in OpenAI's shape is not asked again.
    const { status, json } = await probe.get("/v1/models");
    if (status === 200 && at(json, "data", "0", "type") !== "model") return false;
    return (await entriesOf(probe)).length > 0;
  },
  async describe(probe) {
    const entries = await entriesOf(probe);
    if (entries.length === 0) return undefined;
    return composeDescription({
      backend: { name: "Anthropic", vendor: "Anthropic", version: "" },
      models: entries.map(toModel),
      operations: ["messages.create", "messages.count_tokens"],
      readinessPath: "/v1/models",
      source: "/v1/models",
      documented: ["tools", "json_schema"],
    });
  },
};

/** Tokens that every Claude since the third takes. */
const usualWindow = 200_000;

function toModel(entry: unknown): ModelInput | undefined {
  if (at(entry, "lifecycle") === "retired") return undefined;
  const capability = (name: string) => asFlag(at(entry, "capabilities", name, "supported"));
  const id = asText(at(entry, "id")) ?? "";
  const isClaude = id.includes("claude");
  return {
    id,
    domains: ["chat"],
    context_window: asCount(at(entry, "max_input_tokens")) ?? (isClaude ? usualWindow : null),
    features: {
      tools: true,
      // A model without structured outputs is made to call a tool with the schema.
      json_schema: true,
      vision: capability("image_input") ?? (isClaude ? true : undefined),
      reasoning: capability("thinking"),
    },
    state: "loaded",
  };
}
