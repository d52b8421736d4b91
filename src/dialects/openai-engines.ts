import type { ServiceMetadata } from "../contract/metadata.ts";
import type { ModelInput } from "./dialect.ts";
import type { Probe } from "./probe.ts";
import { asCount, asText, at } from "./read-json.ts";

/** An engine behind OpenAI's shape that says more of itself elsewhere. */
export interface Engine {
  readonly backend: ServiceMetadata["backend"];
  readonly readinessPath?: string;
  readonly maxConcurrency?: number;
  /** What it knows of a model beyond the list. */
  model(entry: unknown): Partial<ModelInput>;
}

type Recogniser = (probe: Probe, first: unknown) => Promise<Engine | undefined>;

/** Who owns the models in the list. */
function ownerOf(entry: unknown): string {
  return asText(at(entry, "owned_by"))?.toLowerCase() ?? "";
}

/** KoboldCpp; source: its API documentation (/api/extra/version, /api/extra/true_max_context_length). */
const koboldCpp: Recogniser = async (probe, first) => {
  if (ownerOf(first) !== "koboldcpp") return undefined;
  const version = asText(at((await probe.get("/api/extra/version")).json, "version")) ?? "";
  const window = asCount(at((await probe.get("/api/extra/true_max_context_length")).json, "value")) ?? null;
  return {
    backend: { name: "KoboldCpp", vendor: "", version },
    readinessPath: "/api/extra/version",
    // It works on one request at a time.
    maxConcurrency: 1,
    model: () => ({ context_window: window }),
  };
};

/** SGLang; source: its documentation (native APIs: /health). Its list has the length in `max_model_len`. */
const sglang: Recogniser = async (_probe, first) =>
  ownerOf(first) === "sglang"
    ? { backend: { name: "SGLang", vendor: "", version: "" }, readinessPath: "/health", model: () => ({}) }
    : undefined;

/** TabbyAPI; source: its API documentation (/v1/model is the loaded one, /v1/models is what lies on the disk). */
const tabbyApi: Recogniser = async (probe, first) => {
  if (ownerOf(first) !== "tabbyapi") return undefined;
  const loaded = (await probe.get("/v1/model")).json;
  const loadedId = at(loaded, "id");
  return {
    backend: { name: "TabbyAPI", vendor: "", version: "" },
    readinessPath: "/health",
    model: (entry) =>
      at(entry, "id") === loadedId
        ? { state: "loaded", context_window: asCount(at(loaded, "parameters", "max_seq_len")) ?? null }
        : { state: "available" },
  };
};

/** Text Generation Inference; source: its API documentation (/info). Its one model owns itself in the list. */
const textGenerationInference: Recogniser = async (probe, first) => {
  if (at(first, "owned_by") !== at(first, "id")) return undefined;
  const info = (await probe.get("/info")).json;
  if (asText(at(info, "model_id")) === undefined) return undefined;
  const maxConcurrency = asCount(at(info, "max_concurrent_requests"));
  return {
    backend: { name: "TGI", vendor: "Hugging Face", version: asText(at(info, "version")) ?? "" },
    readinessPath: "/health",
    ...(maxConcurrency === undefined ? {} : { maxConcurrency }),
    model: () => ({ context_window: asCount(at(info, "max_total_tokens")) ?? null }),
  };
};

/**
 * Knows an engine by its list of models and asks only that engine's own paths: strangers, and hosted services, are not
 * asked for what they do not have.
 */
export async function recogniseEngine(probe: Probe, entries: readonly unknown[]): Promise<Engine | undefined> {
  const [first] = entries;
  if (first === undefined) return undefined;
  for (const recognise of [koboldCpp, sglang, tabbyApi, textGenerationInference]) {
    const engine = await recognise(probe, first);
    if (engine !== undefined) return engine;
  }
  return undefined;
}
