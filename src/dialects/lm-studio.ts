import { composeDescription } from "./compose-description.ts";
import type { Dialect, ModelInput } from "./dialect.ts";
import type { Probe } from "./probe.ts";
import { asCount, asFlag, asList, asText, asTexts, at } from "./read-json.ts";

/** REST API v1, since 0.4: what is loaded, how, and what each model can. */
async function version1Models(probe: Probe): Promise<readonly ModelInput[] | undefined> {
  const models = at((await probe.get("/api/v1/models")).json, "models");
  // An empty list could be anybody's; then the older API tells.
  if (asText(at(asList(models)[0], "key")) === undefined) return undefined;
  return asList(models).map(fromVersion1);
}

/** REST API v0, since 0.3.6. */
async function version0Models(probe: Probe): Promise<readonly ModelInput[] | undefined> {
  const answer = await probe.get("/api/v0/models");
  const models = at(answer.json, "data");
  return answer.status === 200 && Array.isArray(models) ? models.map(fromVersion0) : undefined;
}

/**
 * LM Studio. Sources: its REST documentation (API v1 and v0: loaded instances and state, maximum and loaded context
 * length, kind, capabilities) and the greeting by which its own tools know it. It answers 200 to every path, so only the body counts.
 */
export const lmStudioDialect: Dialect = {
  name: "lm-studio",
  async recognises(probe) {
    if (at((await probe.get("/lmstudio-greeting")).json, "lmstudio") === true) return true;
    return (await version0Models(probe)) !== undefined;
  },
  async describe(probe) {
    const newModels = await version1Models(probe);
    const models = newModels ?? (await version0Models(probe));
    if (models === undefined) return undefined;
    return composeDescription({
      backend: { name: "LM Studio", vendor: "Element Labs", version: "" },
      models,
      // Since 0.3.29 (its API changelog); that it has the newer API says that it is 0.4 or later.
      alsoOffers: newModels === undefined ? [] : ["responses.create"],
      readinessPath: "/lmstudio-greeting",
      source: "its REST API",
      documented: ["json_schema"],
    });
  },
};

/** A model that was not trained for tools gets them in a form of LM Studio's own: that is no "no". */
function trueOrUnknown(value: unknown): true | undefined {
  return value === true ? true : undefined;
}

function fromVersion1(entry: unknown): ModelInput {
  const key = asText(at(entry, "key")) ?? "";
  const instances = asList(at(entry, "loaded_instances"));
  const isEmbedding = at(entry, "type") === "embedding";
  const windows = instances.flatMap((instance) => asCount(at(instance, "config", "context_length")) ?? []);
  return {
    id: key,
    aliases: instances.flatMap((instance) => asText(at(instance, "id")) ?? []).filter((id) => id !== key),
    domains: [isEmbedding ? "embedding" : "chat"],
    // A request may land on any of its instances.
    context_window: windows.length === 0 ? null : Math.min(...windows),
    context_window_max: asCount(at(entry, "max_context_length")) ?? null,
    features: isEmbedding
      ? {}
      : {
          tools: trueOrUnknown(at(entry, "capabilities", "trained_for_tool_use")),
          vision: asFlag(at(entry, "capabilities", "vision")),
          json_schema: true,
        },
    state: instances.length > 0 ? "loaded" : "available",
    size_bytes: asCount(at(entry, "size_bytes")) ?? null,
  };
}

function fromVersion0(entry: unknown): ModelInput {
  const type = at(entry, "type");
  const state = at(entry, "state");
  const isEmbedding = type === "embeddings";
  return {
    id: asText(at(entry, "id")) ?? "",
    domains: [isEmbedding ? "embedding" : "chat"],
    context_window: asCount(at(entry, "loaded_context_length")) ?? null,
    context_window_max: asCount(at(entry, "max_context_length")) ?? null,
    features: isEmbedding
      ? {}
      : {
          tools: trueOrUnknown(asTexts(at(entry, "capabilities"))?.includes("tool_use")),
          vision: type === "vlm",
          json_schema: true,
        },
    state: state === "loaded" || state === "loading" ? state : "available",
  };
}
