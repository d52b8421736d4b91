import { NexusError } from "nexus/base";

/** How this service is set up, beyond what every service reads. */
export interface MusicSettings {
  readonly backend: "acestep" | "comfyui";
  /** Base URL of the server, with no slash at its end. */
  readonly url: string;
  readonly key: string | undefined;
  /** Models that are offered; all that the backend has when empty. */
  readonly models: readonly string[];
  /** ComfyUI: files of workflows. */
  readonly workflows: readonly string[];
}

/** Where each server listens when nobody says otherwise. */
const usualUrls = { acestep: "http://127.0.0.1:8001", comfyui: "http://127.0.0.1:8188" } as const;

/**
 * Reads `NEXUS_MUSIC_BACKEND`, `_URL`, `_KEY`, `_MODELS` and `_WORKFLOWS`; empty means unset.
 * @throws NexusError `invalid_request` that names the variable at fault.
 */
export function readMusicSettings(variables: Readonly<Record<string, string | undefined>>): MusicSettings {
  const read = (name: string): string | undefined => variables[`NEXUS_MUSIC_${name}`] || undefined;
  const list = (name: string) => (read(name) ?? "").split(",").flatMap((text) => text.trim() || []);
  const backend = read("BACKEND") ?? "acestep";
  if (backend !== "acestep" && backend !== "comfyui") throw wrong("BACKEND", "must be acestep or comfyui");
  const url = read("URL") ?? usualUrls[backend];
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw wrong("URL", "must be the server's address");
  const workflows = list("WORKFLOWS");
  if (backend === "comfyui" && workflows.length === 0) throw wrong("WORKFLOWS", "must name the files of workflows");
  return { backend, url: url.replace(/\/+$/, ""), key: read("KEY"), models: list("MODELS"), workflows };
}

function wrong(name: string, must: string): NexusError {
  return new NexusError("invalid_request", `NEXUS_MUSIC_${name} ${must}.`);
}
