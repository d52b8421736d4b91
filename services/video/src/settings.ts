import { NexusError } from "nexus/base";

/** How this service is set up, beyond what every service reads. */
export interface VideoSettings {
  readonly backend: "openai" | "comfyui";
  /** Base URL of the server, with no slash at its end. */
  readonly url: string;
  readonly key: string | undefined;
  /** Models that are offered; all that the backend has when empty. */
  readonly models: readonly string[];
  /** ComfyUI: files of workflows. */
  readonly workflows: readonly string[];
  /** ComfyUI: frames of a second, for workflows that count frames. Default 16, as Wan's. */
  readonly framesPerSecond: number;
}

/**
 * Reads `NEXUS_VIDEO_BACKEND`, `_URL`, `_KEY`, `_MODELS`, `_WORKFLOWS` and `_FPS`; empty means unset.
 * @throws NexusError `invalid_request` that names the variable at fault.
 */
export function readVideoSettings(variables: Readonly<Record<string, string | undefined>>): VideoSettings {
  const read = (name: string): string | undefined => variables[`NEXUS_VIDEO_${name}`] || undefined;
  const list = (name: string) => (read(name) ?? "").split(",").flatMap((text) => text.trim() || []);
  const backend = read("BACKEND") ?? "comfyui";
  if (backend !== "openai" && backend !== "comfyui") throw wrong("BACKEND", "must be openai or comfyui");
  const url = read("URL") ?? (backend === "comfyui" ? "http://127.0.0.1:8188" : "");
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw wrong("URL", "must be the server's address");
  const workflows = list("WORKFLOWS");
  if (backend === "comfyui" && workflows.length === 0) throw wrong("WORKFLOWS", "must name the files of workflows");
  const framesPerSecond = Number(read("FPS") ?? 16);
  if (!(framesPerSecond >= 1 && framesPerSecond <= 120)) throw wrong("FPS", "must be 1 to 120");
  return {
    backend,
    url: url.replace(/\/+$/, ""),
    key: read("KEY"),
    models: list("MODELS"),
    workflows,
    framesPerSecond,
  };
}

function wrong(name: string, must: string): NexusError {
  return new NexusError("invalid_request", `NEXUS_VIDEO_${name} ${must}.`);
}
