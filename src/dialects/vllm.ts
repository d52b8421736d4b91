import type { Domain } from "../contract/metadata.ts";
import { type RoutedOperationId, routedOperations } from "../contract/operations.ts";
import { composeDescription } from "./compose-description.ts";
import type { Dialect, ModelInput } from "./dialect.ts";
import { guessDomains } from "./guess-domains.ts";
import type { Probe } from "./probe.ts";
import { asCount, asList, asText, at } from "./read-json.ts";

const owner = "vllm";

async function entriesOf(probe: Probe): Promise<readonly unknown[]> {
  const entries = asList(at((await probe.get("/v1/models")).json, "data"));
  return entries.some((entry) => at(entry, "owned_by") === owner) ? entries : [];
}

/**
 * The operations that the server has routes for: those of its model's task, as vLLM leaves out the others. Undefined
 * when it does not publish its routes (`--disable-fastapi-docs`).
 */
async function offeredOperations(probe: Probe): Promise<readonly RoutedOperationId[] | undefined> {
  const paths = at((await probe.get("/openapi.json")).json, "paths");
  if (typeof paths !== "object" || paths === null) return undefined;
  const routes = new Set<string>();
  for (const [path, methods] of Object.entries(paths)) {
    if (typeof methods !== "object" || methods === null) continue;
    // What a parameter is called there is its own affair.
    for (const method of Object.keys(methods)) routes.add(`${method} ${path.replaceAll(/\{[^{}]*\}/g, "{id}")}`);
  }
  return routedOperations.flatMap(({ id, method, path }) => {
    return routes.has(`${method.toLowerCase()} ${path}`) ? [id] : [];
  });
}

/**
 * vLLM. Source: its documentation (serving/openai_compatible_server and online_serving: which APIs apply to which kind
 * of model; /health, /version) and `max_model_len` in /v1/models, the window that it was started with. It serves one model, always loaded, and
 * adapters on it.
 */
export const vllmDialect: Dialect = {
  name: "vllm",
  recognises: async (probe) => (await entriesOf(probe)).length > 0,
  async describe(probe) {
    const entries = await entriesOf(probe);
    if (entries.length === 0) return undefined;
    const routed = await offeredOperations(probe);
    const window = entries.map((entry) => asCount(at(entry, "max_model_len"))).find((length) => length !== undefined);
    return composeDescription({
      backend: {
        name: "vLLM",
        vendor: "vLLM",
        version: asText(at((await probe.get("/version")).json, "version")) ?? "",
      },
      models: entries.map((entry) => toModel(entry, routed, window)),
      ...(routed === undefined ? {} : { operations: routed }),
      readinessPath: "/health",
      source: "/v1/models",
      documented: ["json_schema"],
    });
  },
};

function toModel(
  entry: unknown,
  routed: readonly RoutedOperationId[] | undefined,
  window: number | undefined,
): ModelInput {
  const id = asText(at(entry, "id")) ?? "";
  const domains = domainsOf(id, routed);
  return {
    id,
    domains,
    // An adapter tells no length of its own: it has its model's.
    context_window: asCount(at(entry, "max_model_len")) ?? window ?? null,
    // Tools and images depend on how it was started and on the model: it does not say.
    features: domains.includes("chat") ? { json_schema: true } : {},
    state: "loaded",
  };
}

/** By its routes, as far as they tell: older versions have those of every task. */
function domainsOf(id: string, routed: readonly RoutedOperationId[] | undefined): Domain[] {
  const guessed = guessDomains(id);
  if (routed === undefined) return guessed;
  const served = new Set(
    routedOperations.filter((row) => routed.includes(row.id)).flatMap(({ domains }): readonly Domain[] => domains),
  );
  if (guessed.every((domain) => served.has(domain))) return guessed;
  return tasks.filter((domain) => served.has(domain)).slice(0, 1);
}

/** What a model of unknown name is for, the most telling first: an embedding model can rerank too. */
const tasks: readonly Domain[] = ["chat", "embedding", "rerank", "transcription"];
