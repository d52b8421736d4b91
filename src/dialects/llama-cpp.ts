import { composeDescription } from "./compose-description.ts";
import type { Description, Dialect, ModelInput } from "./dialect.ts";
import { guessDomains } from "./guess-domains.ts";
import { isAtLeast } from "./is-at-least.ts";
import { mapBounded } from "./map-bounded.ts";
import type { Probe, ProbeAnswer } from "./probe.ts";
import { asCount, asFlag, asList, asText, asTexts, at } from "./read-json.ts";

const owner = "llamacpp";
/** Loaded models of a router whose properties are asked for, one request each. */
const propsMax = 16;
const concurrency = 4;

function isLoading(answer: ProbeAnswer): boolean {
  return answer.status === 503 && at(answer.json, "error", "message") === "Loading model";
}

function isRouter(props: unknown): boolean {
  return at(props, "role") === "router";
}

/** `/props` of the server itself. Needs the key, as `/v1/models` does since 2026; `/health` does not. */
async function propsOf(probe: Probe): Promise<unknown> {
  const { status, json } = await probe.get("/props");
  return status === 200 && at(json, "default_generation_settings") !== undefined ? json : undefined;
}

/**
 * `/props` of one model of a router. Without `autoload=false` the question would load the model.
 */
async function propsOfModel(probe: Probe, id: string): Promise<unknown> {
  const { status, json } = await probe.get(`/props?autoload=false&model=${encodeURIComponent(id)}`);
  return status === 200 ? json : undefined;
}

async function entriesOf(probe: Probe): Promise<readonly unknown[]> {
  return asList(at((await probe.get("/v1/models")).json, "data"));
}

/**
 * llama.cpp's `llama-server`, with one model or as a router over many. Source: its README (tools/server/README.md: /health,
 * /props, /v1/models, "Using multiple models", "Sleeping on Idle"), which also says that none of the three wakes or
 * loads a model, as long as a router's /props is asked with `autoload=false`.
 */
export const llamaCppDialect: Dialect = {
  name: "llama-cpp",
  async recognises(probe) {
    const props = await probe.get("/props");
    if (isLoading(props)) return true;
    if (props.status === 200 && asText(at(props.json, "build_info")) !== undefined) return true;
    return (await entriesOf(probe)).some((entry) => at(entry, "owned_by") === owner);
  },
  async describe(probe) {
    if (isLoading(await probe.get("/props"))) return describeLoading();
    const props = await propsOf(probe);
    const entries = await entriesOf(probe);
    if (props === undefined && !entries.some((entry) => at(entry, "owned_by") === owner)) return undefined;
    const models = isRouter(props)
      ? await describeRouted(probe, entries)
      : entries.map((entry) => toModel(entry, props, at(props, "is_sleeping") === true ? "available" : "loaded"));
    return composeDescription({
      backend: { ...backend, version: asText(at(props, "build_info")) ?? "" },
      models,
      alsoOffers: isAtLeast(asText(at(props, "build_info")) ?? "", buildOfApril2026) ? otherApis : [],
      maxConcurrency: asCount(at(props, "total_slots")) ?? null,
      readinessPath: "/health",
      source: "/props",
      documented: ["json_schema"],
    });
  },
};

/** Who says when something changed names pull requests, not builds. This one is later than all that matter here. */
const buildOfApril2026 = "b8681";
/**
 * Anthropic's messages came with pull request 17570 at the end of 2025, OpenAI's responses with 18486 in January 2026. For
 * older builds than that of April they are translated.
 */
const otherApis = ["responses.create", "messages.create", "messages.count_tokens"] as const;

const backend = { name: "llama.cpp", vendor: "ggml-org", version: "" };

function describeLoading(): Description {
  return composeDescription({
    backend,
    models: [],
    readinessPath: "/health",
    waitsFor: "is loading its model",
    source: "/props",
  });
}

async function describeRouted(probe: Probe, entries: readonly unknown[]): Promise<readonly ModelInput[]> {
  let asked = 0;
  return mapBounded(entries, concurrency, async (entry) => {
    const status = asText(at(entry, "status", "value"));
    const isAsked = status === "loaded" && asked++ < propsMax;
    const props = isAsked ? await propsOfModel(probe, asText(at(entry, "id")) ?? "") : undefined;
    return toModel(entry, props, status === "loaded" || status === "loading" ? status : "available");
  });
}

function toModel(entry: unknown, props: unknown, state: NonNullable<ModelInput["state"]>): ModelInput {
  const id = asText(at(entry, "id")) ?? "";
  const shortId = withoutPath(id);
  const domains = guessDomains(shortId);
  const isEmbedding = domains.includes("embedding");
  return {
    id: shortId,
    aliases: [...new Set([id, ...(asTexts(at(entry, "aliases")) ?? [])])].filter((alias) => alias !== shortId),
    domains,
    // Per slot: what one request may use. Newer servers say it in their list too, whole or of a loaded model.
    context_window:
      asCount(at(props, "default_generation_settings", "n_ctx")) ?? asCount(at(entry, "meta", "n_ctx")) ?? null,
    context_window_max: asCount(at(entry, "meta", "n_ctx_train")) ?? null,
    features: isEmbedding
      ? { embeddings_dim: asCount(at(entry, "meta", "n_embd")) }
      : { tools: toolsOf(props), vision: visionOf(entry, props), json_schema: true },
    state,
    size_bytes: asCount(at(entry, "meta", "size")) ?? null,
  };
}

/** Without `--alias` the id is the path of the file on that machine: its name is enough, and the path stays an alias. */
function withoutPath(id: string): string {
  return id.endsWith(".gguf") ? (id.slice(0, -".gguf".length).split(/[/\\]/).at(-1) ?? id) : id;
}

/**
 * False where the template has no place for tools and nothing else is done about them: they are then left out without a
 * word, even where one is required (seen at b11669). Older builds had a form of their own for such models, which pull
 * request 18675 took away in March 2026.
 */
function toolsOf(props: unknown): boolean | undefined {
  const caps = at(props, "chat_template_caps");
  const told = [asFlag(at(caps, "supports_tools")), asFlag(at(caps, "supports_tool_calls"))];
  // Before there were `chat_template_caps`, a template for tools was listed when the model had one.
  if (told.includes(true) || asText(at(props, "chat_template_tool_use")) !== undefined) return true;
  const isNew = isAtLeast(asText(at(props, "build_info")) ?? "", buildOfApril2026);
  return isNew && told.includes(false) ? false : undefined;
}

function visionOf(entry: unknown, props: unknown): boolean | undefined {
  return (
    asFlag(at(props, "modalities", "vision")) ??
    asTexts(at(entry, "architecture", "input_modalities"))?.includes("image")
  );
}
