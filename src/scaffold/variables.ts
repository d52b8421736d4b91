import { isAbsolute, relative } from "node:path";
import { type OperationId, operationById } from "../contract/operations.ts";
import type { Combination, TemplateDomain } from "./combination.ts";
import type { Manifest } from "./manifest.ts";
import type { Variables } from "./render.ts";

/** What somebody has answered about a service that is to be made. */
export interface Wanted extends Combination {
  /** Fits the contract's rule for names. */
  readonly name: string;
  readonly port: number;
}

/** Where a service will lie, and the Nexus that it is made by. */
export interface Surroundings {
  /** The service's folder, absolute. */
  readonly directory: string;
  /** The checkout of Nexus, absolute. */
  readonly nexus: string;
  readonly nexusVersion: string;
}

interface DomainFacts {
  readonly operation: OperationId;
  /** Fields of a small request beside the model; as a form when it is a file that is sent. */
  readonly request: Readonly<Record<string, unknown>> | { readonly form: string };
}

const onePixel =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const facts: Readonly<Record<TemplateDomain, DomainFacts>> = {
  chat: {
    operation: "chat.completions.create",
    request: { messages: [{ role: "user", content: "Hello there" }], max_tokens: 16 },
  },
  embedding: { operation: "embeddings.create", request: { input: ["a cat", "two cats"] } },
  image: { operation: "images.generate", request: { prompt: "a grey square", size: "64x64" } },
  speech: { operation: "audio.speech.create", request: { input: "Hello.", voice: "default", response_format: "wav" } },
  transcription: { operation: "audio.transcriptions.create", request: { form: "file=@sound.wav" } },
  ocr: { operation: "ocr", request: { document: { type: "image_url", image_url: onePixel } } },
  video: { operation: "videos.create", request: { prompt: "a grey square", seconds: "4" } },
  music: { operation: "music.create", request: { prompt: "a quiet tune", seconds: 4 } },
  rerank: { operation: "rerank", request: { query: "the capital of France", documents: ["Bread", "Paris, France"] } },
  moderation: { operation: "moderations.create", request: { input: ["I like cats."] } },
  tool: { operation: "tools.call", request: { arguments: { text: "one two three" } } },
};

/** Every variable that the files of a service may name. */
export function variablesFor(manifest: Manifest, wanted: Wanted, surroundings: Surroundings): Variables {
  const { name, domain, mode, port } = wanted;
  const { operation } = facts[domain];
  return {
    ...manifest.values.domain[domain],
    ...manifest.values.mode[mode],
    name,
    title: titleOf(name),
    module: /^[0-9]/.test(name) ? `_${moduleOf(name)}` : moduleOf(name),
    domain,
    mode,
    port: String(port),
    operation,
    path: operationById(operation).path,
    curl: curlArguments(name, facts[domain].request),
    nexus: nexusFrom(surroundings),
    nexus_version: surroundings.nexusVersion,
  };
}

/** Whether a service lies in the checkout, where the packages of its parents are found. */
export function isInCheckout({ directory, nexus }: Surroundings): boolean {
  const path = relative(nexus, directory);
  return path !== "" && !path.startsWith("..") && !isAbsolute(path);
}

function nexusFrom(surroundings: Surroundings): string {
  const { directory, nexus } = surroundings;
  return isInCheckout(surroundings) ? relative(directory, nexus) : nexus;
}

/** `my-voice` as people write it. */
function titleOf(name: string): string {
  const words = name.replaceAll(/[-._]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function moduleOf(name: string): string {
  return name.replaceAll(/[-.]/g, "_");
}

function curlArguments(model: string, request: DomainFacts["request"]): string {
  if ("form" in request) return `-F model=${model} -F ${String(request.form)}`;
  return `-H 'content-type: application/json' -d '${JSON.stringify({ model, ...request })}'`;
}
