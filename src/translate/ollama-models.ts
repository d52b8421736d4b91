import { NexusError } from "../base/errors.ts";
import { fleetName } from "./ollama-request.ts";
import { type JsonObject, requiredModel } from "./request-fields.ts";

/** What the fleet knows of a model, as far as Ollama's clients ask for it. */
export interface OllamaModelSource {
  readonly name: string;
  readonly domains: readonly string[];
  /** Tokens of prompt and answer together. */
  readonly contextWindow: number | null;
  /** Bytes of its weights on disk, and of GPU memory while it is loaded. */
  readonly sizeBytes: number | null;
  readonly vramBytes: number | null;
  readonly isLoaded: boolean;
  /** As metadata names them: `tools`, `vision`, `reasoning`, `embeddings_dim`. */
  readonly features: Readonly<Record<string, unknown>>;
  /** Seconds since 1970: when it was first seen. */
  readonly createdSeconds: number;
}

/**
 * The version of Ollama's API that is spoken here. Clients ask for it to learn what they may use: tools, structured
 * outputs, thinking and capabilities are older.
 */
export const ollamaVersion = "0.12.6";

/** `GET /api/version` */
export function ollamaVersionAnswer(): object {
  return { version: ollamaVersion };
}

/** `GET /api/tags`: models that Ollama's clients can use, those of other domains left out. */
export function ollamaTagsAnswer(models: readonly OllamaModelSource[]): object {
  return {
    models: models.filter(isUsable).map((model) => ({ ...identity(model), modified_at: modifiedAt(model) })),
  };
}

/** `GET /api/ps`: models that an instance holds in memory. The fleet unloads none by itself. */
export function ollamaPsAnswer(models: readonly OllamaModelSource[]): object {
  return {
    models: models
      .filter((model) => model.isLoaded && isUsable(model))
      .map((model) => ({
        ...identity(model),
        expires_at: "9999-12-31T23:59:59Z",
        size_vram: model.vramBytes ?? 0,
        context_length: model.contextWindow ?? 0,
      })),
  };
}

/**
 * `POST /api/show`. The weights' own papers (licence, template, Modelfile) stay with their server.
 * @throws NexusError `missing_model` or `model_not_found`
 */
export function ollamaShowAnswer(request: JsonObject, models: readonly OllamaModelSource[]): object {
  // Clients before 2024 say `name`.
  const asked = requiredModel({ model: request.model ?? request.name });
  const name = fleetName(asked, (known) => models.some((model) => model.name === known));
  const model = models.find((candidate) => candidate.name === name);
  if (model === undefined) {
    throw new NexusError("model_not_found", `model '${asked.slice(0, 256)}' not found`, { param: "model" });
  }
  return {
    license: "",
    modelfile: "",
    parameters: "",
    template: "",
    details: details(model),
    model_info: modelInfo(model),
    capabilities: capabilities(model),
    modified_at: modifiedAt(model),
  };
}

function isUsable({ domains }: OllamaModelSource): boolean {
  return domains.includes("chat") || domains.includes("embedding");
}

function identity(model: OllamaModelSource) {
  const { name } = model;
  return { name, model: name, size: model.sizeBytes ?? 0, digest: digestOf(name), details: details(model) };
}

/** What is not known is empty: clients print these fields and decide nothing by them. */
function details(model: OllamaModelSource): object {
  const family = familyOf(model);
  return {
    parent_model: "",
    format: "",
    family,
    families: family === "" ? [] : [family],
    parameter_size: /(?:^|[-_:/])(\d+(?:\.\d+)?[bm])(?:$|[-_:.])/i.exec(model.name)?.[1]?.toUpperCase() ?? "",
    quantization_level: "",
  };
}

/** `qwen3` of `qwen/qwen3-8b:latest`. */
function familyOf({ name }: OllamaModelSource): string {
  return /([^/:-]+)[^/]*$/.exec(name)?.[1]?.toLowerCase() ?? "";
}

function modelInfo(model: OllamaModelSource): JsonObject {
  const architecture = familyOf(model);
  const dimensions = model.features.embeddings_dim;
  return {
    "general.architecture": architecture,
    "general.basename": model.name,
    ...(model.contextWindow === null ? {} : { [`${architecture}.context_length`]: model.contextWindow }),
    ...(typeof dimensions === "number" ? { [`${architecture}.embedding_length`]: dimensions } : {}),
  };
}

/** Ollama's word for each of a chat model's features. */
const talents: Readonly<Record<string, string>> = { tools: "tools", vision: "vision", reasoning: "thinking" };

function capabilities({ domains, features }: OllamaModelSource): readonly string[] {
  const chats = domains.includes("chat");
  const has = Object.entries(talents).flatMap(([feature, talent]) => (features[feature] === true ? [talent] : []));
  return [...(chats ? ["completion", ...has] : []), ...(domains.includes("embedding") ? ["embedding"] : [])];
}

function modifiedAt({ createdSeconds }: OllamaModelSource): string {
  return new Date(createdSeconds * 1_000).toISOString();
}

/**
 * Clients show the first twelve digits and tell models apart by them. The fleet's copies of a model need not be the same
 * bytes, so that this names the name: 64-bit FNV-1a, written four times to fill the 64 digits that clients expect.
 */
function digestOf(name: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(name)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, "0").repeat(4);
}
