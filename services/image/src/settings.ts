import { NexusError } from "nexus/base";

export const backendKinds = ["comfyui", "automatic1111", "invokeai", "openai", "sdcpp"] as const;
export type BackendKind = (typeof backendKinds)[number];

/** How this service is set up, beyond what every service reads. */
export interface ImageSettings {
  readonly backend: BackendKind;
  /** Base URL of the server, with no slash at its end. */
  readonly url: string;
  readonly key: string | undefined;
  /** Models that are offered; all that the backend has when empty. */
  readonly models: readonly string[];
  /** Requests that the backend gets at once. */
  readonly parallel: number;
  /** What holds where a request says nothing. */
  readonly defaults: {
    readonly width: number;
    readonly height: number;
    readonly steps: number;
    readonly guidance: number;
  };
  /** ComfyUI: a workflow of the owner's own, in the format of its API. */
  readonly workflow: string | undefined;
  /** stable-diffusion.cpp: the program, its model's file, and further arguments. */
  readonly program: string;
  readonly modelPath: string | undefined;
  readonly programArguments: readonly string[];
}

type Variables = Readonly<Record<string, string | undefined>>;

/** Where each server listens when nobody says otherwise. */
const usualUrls: Readonly<Record<BackendKind, string>> = {
  comfyui: "http://127.0.0.1:8188",
  automatic1111: "http://127.0.0.1:7860",
  invokeai: "http://127.0.0.1:9090",
  openai: "",
  sdcpp: "",
};

/**
 * Reads the `NEXUS_IMAGE_*` variables, which the README lists; empty means unset.
 * @throws NexusError `invalid_request` that names the variable at fault.
 */
export function readImageSettings(variables: Variables): ImageSettings {
  const read = (name: string): string | undefined => variables[`NEXUS_IMAGE_${name}`] || undefined;
  const backend = backendOf(read("BACKEND"));
  const integer = (name: string, fallback: number, max: number): number => {
    const value = Number(read(name) ?? fallback);
    if (Number.isInteger(value) && value >= 1 && value <= max) return value;
    throw wrong(name, `must be a whole number from 1 to ${max}`);
  };
  const guidance = Number(read("GUIDANCE") ?? 7);
  if (!(guidance >= 0 && guidance <= 50)) throw wrong("GUIDANCE", "must be a number from 0 to 50");
  return {
    backend,
    url: urlOf(backend, read("URL")),
    key: read("KEY"),
    models: (read("MODELS") ?? "").split(",").flatMap((text) => text.trim() || []),
    parallel: integer("PARALLEL", backend === "openai" ? 4 : 1, 64),
    defaults: { ...sizeOf(read("SIZE") ?? "512x512"), steps: integer("STEPS", 20, 200), guidance },
    workflow: read("WORKFLOW"),
    program: read("PROGRAM") ?? "sd",
    modelPath: read("MODEL_PATH"),
    programArguments: (read("ARGUMENTS") ?? "").split(/\s+/).filter((text) => text !== ""),
  };
}

function wrong(name: string, must: string): NexusError {
  return new NexusError("invalid_request", `NEXUS_IMAGE_${name} ${must}.`);
}

function backendOf(text: string | undefined): BackendKind {
  const kind = backendKinds.find((known) => known === (text ?? "comfyui"));
  if (kind === undefined) throw wrong("BACKEND", `must be one of ${backendKinds.join(", ")}`);
  return kind;
}

function urlOf(backend: BackendKind, text: string | undefined): string {
  if (backend === "sdcpp") return "";
  const url = text ?? usualUrls[backend];
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url.replace(/\/+$/, "");
  throw wrong("URL", url === "" ? `must be the address of the ${backend} server` : "is no http(s) address");
}

function sizeOf(text: string): { width: number; height: number } {
  const [, width, height] = /^(\d{2,4})x(\d{2,4})$/.exec(text) ?? [];
  if (width === undefined) throw wrong("SIZE", "must be such as 512x512");
  return { width: Number(width), height: Number(height) };
}
