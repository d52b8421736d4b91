import { composeDescription } from "./compose-description.ts";
import type { Dialect, ModelInput } from "./dialect.ts";
import { guessDomains } from "./guess-domains.ts";
import { recogniseEngine } from "./openai-engines.ts";
import type { Probe } from "./probe.ts";
import { asCount, asFlag, asText, asTexts, at } from "./read-json.ts";

/** OpenAI's shape, `{data: [{id}]}`; some leave out the envelope. */
async function entriesOf(probe: Probe): Promise<readonly unknown[] | undefined> {
  const { status, json } = await probe.get("/v1/models");
  const entries = Array.isArray(json) ? json : at(json, "data");
  if (status !== 200 || !Array.isArray(entries)) return undefined;
  const named = entries.filter((entry: unknown) => asText(at(entry, "id")) !== undefined);
  return named.length === 0 && entries.length > 0 ? undefined : named;
}

/**
 * Anything with OpenAI's /v1/models: engines without a dialect of their own, and hosted services with a key. Sources: OpenAI's API
 * reference (Models), and where the list says more than names, the fields of those who say it: OpenRouter
 * (context_length, architecture, supported_parameters), Mistral (max_context_length, capabilities), Groq
 * (context_window), SGLang (max_model_len).
 */
export const openaiCompatibleDialect: Dialect = {
  name: "openai-compatible",
  recognises: async (probe) => (await entriesOf(probe)) !== undefined,
  async describe(probe) {
    const entries = await entriesOf(probe);
    if (entries === undefined) return undefined;
    const engine = await recogniseEngine(probe, entries);
    return composeDescription({
      backend: engine?.backend ?? { name: asText(at(entries[0], "owned_by")) ?? "", vendor: "", version: "" },
      models: entries.map((entry) => ({ ...toModel(entry), ...engine?.model(entry) })),
      maxConcurrency: engine?.maxConcurrency ?? null,
      readinessPath: engine?.readinessPath ?? "/v1/models",
      source: "/v1/models",
    });
  },
};

const contextFields = ["max_model_len", "context_length", "context_window", "max_context_length"] as const;

function toModel(entry: unknown): ModelInput {
  const id = asText(at(entry, "id")) ?? "";
  const domains = guessDomains(id);
  return {
    id,
    aliases: asTexts(at(entry, "aliases"))?.filter((alias) => alias !== id && alias !== "") ?? [],
    domains,
    context_window:
      contextFields.map((field) => asCount(at(entry, field))).find((count) => count !== undefined) ?? null,
    features: domains.includes("chat") ? featuresOf(entry) : {},
    // Whoever says nothing of loading is taken for ready: it is no worse off than the others of its kind.
    state: "loaded",
  };
}

function featuresOf(entry: unknown): NonNullable<ModelInput["features"]> {
  const parameters = asTexts(at(entry, "supported_parameters"));
  const capabilities = at(entry, "capabilities");
  return {
    tools: parameters?.includes("tools") ?? asFlag(at(capabilities, "function_calling")),
    json_schema: parameters?.includes("structured_outputs"),
    reasoning: parameters?.includes("reasoning"),
    vision:
      asTexts(at(entry, "architecture", "input_modalities"))?.includes("image") ?? asFlag(at(capabilities, "vision")),
  };
}
