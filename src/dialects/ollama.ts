import type { Domain } from "../contract/metadata.ts";
import type { RoutedOperationId } from "../contract/operations.ts";
import { composeDescription } from "./compose-description.ts";
import type { Dialect, ModelInput } from "./dialect.ts";
import { guessDomains } from "./guess-domains.ts";
import { isAtLeast } from "./is-at-least.ts";
import { mapBounded } from "./map-bounded.ts";
import type { Probe } from "./probe.ts";
import { asAmount, asCount, asList, asText, asTexts, at } from "./read-json.ts";

/** What `/api/show` tells of one model; the same for the same weights on the same version. */
interface Shown {
  readonly capabilities: readonly string[] | undefined;
  /** Tokens that it was trained for. */
  readonly contextTrained: number | undefined;
  /** `num_ctx` of its Modelfile: what it will be loaded with. */
  readonly contextSet: number | undefined;
  readonly embeddingDim: number | undefined;
}

/** Models of one server that are asked about; the rest is listed without details. */
const shownMax = 500;
/** Questions at once. */
const concurrency = 4;
/** Models remembered over all servers: about 300 bytes each. */
const rememberedMax = 2_000;

const domainOfCapability: Readonly<Record<string, Domain>> = {
  completion: "chat",
  embedding: "embedding",
  image: "image",
};

/**
 * Ollama. Sources: its API documentation (docs/api.md: /api/tags, /api/show, /api/ps, /api/version), the capabilities
 * list of /api/show (since 0.6.4), `context_length` in /api/ps (since 0.9.7, pull request 11331), context-length.mdx for the
 * default that depends on the machine, and the remote fields of cloud models. None of these loads a model.
 */
export function createOllamaDialect(): Dialect {
  const remembered = new Map<string, Shown>();

  /** `weights` names what is told: the digest, and the server's version, as newer ones tell more. */
  const show = async (probe: Probe, model: string, weights: string): Promise<Shown | undefined> => {
    let shown = remembered.get(weights);
    if (shown === undefined) {
      const answer = await probe.post("/api/show", { model });
      if (answer.status !== 200) return undefined;
      shown = readShown(answer.json);
    }
    remember(remembered, weights, shown);
    return shown;
  };

  return {
    name: "ollama",
    async recognises(probe) {
      if (asText(at((await probe.get("/api/version")).json, "version")) === undefined) return false;
      if (!Array.isArray(at((await probe.get("/api/tags")).json, "models"))) return false;
      // KoboldCpp answers Ollama's paths too, as far as it can.
      return asText(at((await probe.get("/api/extra/version")).json, "result")) !== "KoboldCpp";
    },
    async describe(probe) {
      const version = asText(at((await probe.get("/api/version")).json, "version"));
      const tags = at((await probe.get("/api/tags")).json, "models");
      if (version === undefined || !Array.isArray(tags)) return undefined;
      const running = runningByName(at((await probe.get("/api/ps")).json, "models"));
      const models = await mapBounded(tags, concurrency, async (tag: unknown, index) => {
        const name = asText(at(tag, "model")) ?? asText(at(tag, "name"));
        if (name === undefined) return undefined;
        const weights = `${version} ${asText(at(tag, "digest")) ?? `${probe.baseUrl} ${name}`}`;
        const shown = index < shownMax ? await show(probe, name, weights) : undefined;
        return toModel(name, tag, shown, running.get(name));
      });
      return composeDescription({
        backend: { name: "Ollama", vendor: "Ollama", version },
        models,
        alsoOffers: offeredSince.flatMap(([since, id]) => (isAtLeast(version, since) ? [id] : [])),
        readinessPath: "/api/version",
        source: "/api/show",
        documented: ["json_schema"],
      });
    },
  };
}

/** OpenAI's responses since 0.13.3 (issue 13595), Anthropic's messages since 0.14.0 (its release notes). */
const offeredSince: readonly (readonly [since: string, id: RoutedOperationId])[] = [
  ["0.13.3", "responses.create"],
  ["0.14.0", "messages.create"],
];

/** Forgets what has not been used for longest. */
function remember(remembered: Map<string, Shown>, weights: string, shown: Shown): void {
  remembered.delete(weights);
  remembered.set(weights, shown);
  const [oldest] = remembered.keys();
  if (remembered.size > rememberedMax && oldest !== undefined) remembered.delete(oldest);
}

function readShown(json: unknown): Shown {
  const info = at(json, "model_info");
  const architecture = asText(at(info, "general.architecture")) ?? "";
  const numCtx = /^num_ctx\s+(\d+)\s*$/m.exec(asText(at(json, "parameters")) ?? "")?.[1];
  return {
    capabilities: asTexts(at(json, "capabilities")),
    contextTrained: asCount(at(info, `${architecture}.context_length`)),
    contextSet: asCount(Number(numCtx)),
    embeddingDim: asCount(at(info, `${architecture}.embedding_length`)),
  };
}

function runningByName(models: unknown): ReadonlyMap<string, unknown> {
  return new Map(asList(models).map((model) => [asText(at(model, "model")) ?? asText(at(model, "name")) ?? "", model]));
}

function toModel(name: string, tag: unknown, shown: Shown | undefined, running: unknown): ModelInput {
  const domains = domainsOf(name, tag, shown);
  const has = (capability: string) => shown?.capabilities?.includes(capability);
  const isChat = domains.includes("chat");
  // A model of Ollama's cloud is run elsewhere: there is nothing to load.
  const isRemote = asText(at(tag, "remote_host")) !== undefined;
  return {
    id: name,
    // `name` alone means `name:latest`.
    aliases: name.endsWith(":latest") ? [name.slice(0, -":latest".length)] : [],
    domains,
    context_window: contextWindow(shown, running),
    context_window_max: shown?.contextTrained ?? null,
    features: {
      ...(isChat ? { tools: has("tools"), vision: has("vision"), reasoning: has("thinking"), json_schema: true } : {}),
      ...(domains.includes("embedding") ? { embeddings_dim: shown?.embeddingDim } : {}),
    },
    state: running !== undefined || isRemote ? "loaded" : "available",
    size_bytes: asCount(at(tag, "size")) ?? null,
    // Zero when it runs on the processor.
    vram_bytes: asAmount(at(running, "size_vram")) ?? null,
    ...(isRemote ? { remote: true } : {}),
  };
}

function domainsOf(name: string, tag: unknown, shown: Shown | undefined): Domain[] {
  const told = shown?.capabilities?.flatMap((capability) => domainOfCapability[capability] ?? []) ?? [];
  if (told.length > 0) return told;
  const family = asText(at(tag, "details", "family")) ?? "";
  return family.includes("bert") ? ["embedding"] : guessDomains(name);
}

/**
 * The window that requests get: what it runs with, else what it will be loaded with. The model's maximum is neither;
 * without a setting Ollama chooses by the machine's memory, and longer prompts are cut.
 */
function contextWindow(shown: Shown | undefined, running: unknown): number | null {
  return asCount(at(running, "context_length")) ?? shown?.contextSet ?? null;
}
