import type { Domain } from "../contract/metadata.ts";
import { composeDescription } from "./compose-description.ts";
import type { Dialect, ModelInput } from "./dialect.ts";
import { guessDomains } from "./guess-domains.ts";
import { isAtLeast } from "./is-at-least.ts";
import type { Probe } from "./probe.ts";
import { asCount, asList, asText, asTexts, at } from "./read-json.ts";

/** What its capabilities mean here. The others are no domain of ours, or asked for in its own way, as videos are. */
const domainOfCapability: Readonly<Record<string, Domain>> = {
  chat: "chat",
  completion: "chat",
  embeddings: "embedding",
  rerank: "rerank",
  image: "image",
  tts: "speech",
  transcript: "transcription",
};

/** Whose reference of API errors describes OpenAI's responses and Anthropic's messages. */
const versionWithOtherApis = "4.9.0";

async function versionOf(probe: Probe): Promise<string | undefined> {
  const wellKnown = (await probe.get("/.well-known/localai.json")).json;
  if (at(wellKnown, "endpoints") !== undefined) return asText(at(wellKnown, "version")) ?? "";
  // Before 3 there was no such document, but /system with these two lists.
  const system = (await probe.get("/system")).json;
  const isSystem = Array.isArray(at(system, "backends")) && at(system, "loaded_models") !== undefined;
  return isSystem ? (asText(at((await probe.get("/version")).json, "version")) ?? "") : undefined;
}

/**
 * LocalAI. Sources: its documentation (API discovery: /.well-known/localai.json; System info: /system, /version) and
 * /v1/models/capabilities (since pull request 10687). It loads models at their first request; none of these does.
 */
export const localaiDialect: Dialect = {
  name: "localai",
  recognises: async (probe) => (await versionOf(probe)) !== undefined,
  async describe(probe) {
    const version = await versionOf(probe);
    if (version === undefined) return undefined;
    const rich = asList(at((await probe.get("/v1/models/capabilities")).json, "data"));
    const entries = rich.length > 0 ? rich : asList(at((await probe.get("/v1/models")).json, "data"));
    const loaded = asList(at((await probe.get("/system")).json, "loaded_models")).map((model) => at(model, "id"));
    return composeDescription({
      backend: { name: "LocalAI", vendor: "LocalAI", version },
      models: entries.map((entry) => toModel(entry, new Set(loaded))),
      alsoOffers: isAtLeast(version, versionWithOtherApis) ? ["responses.create", "messages.create"] : [],
      readinessPath: "/readyz",
      source: "/v1/models/capabilities",
    });
  },
};

function toModel(entry: unknown, loaded: ReadonlySet<unknown>): ModelInput | undefined {
  const id = asText(at(entry, "id")) ?? "";
  const capabilities = asTexts(at(entry, "capabilities"));
  const told = capabilities?.flatMap((capability) => domainOfCapability[capability] ?? []) ?? [];
  // It says what it is for, and that is nothing that is routed.
  if (capabilities !== undefined && capabilities.length > 0 && told.length === 0) return undefined;
  const domains = told.length > 0 ? [...new Set(told)] : guessDomains(id);
  return {
    id,
    domains,
    context_window: asCount(at(entry, "context_size")) ?? null,
    features: domains.includes("chat") ? { vision: capabilities?.includes("vision") } : {},
    state: loaded.has(id) ? "loaded" : "available",
  };
}
