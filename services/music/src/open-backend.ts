import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, extname } from "node:path";
import { createComfyUiJobs, type JobBackend, type JobOrder, parseComfyUiWorkflow } from "nexus/service-kit";
import { createAceStep } from "./ace-step.ts";
import type { MusicSettings } from "./settings.ts";

const types = { mp3: "audio/mpeg", flac: "audio/flac", wav: "audio/wav", opus: "audio/ogg", ogg: "audio/ogg" };

/**
 * The backend that the settings choose.
 * @throws NexusError `invalid_request` for a workflow that is none.
 */
export function openBackend({ backend, url, key, workflows }: MusicSettings): JobBackend {
  if (backend === "acestep") return createAceStep(url, key);
  const named = workflows.map(
    (path) =>
      [
        basename(path, extname(path)),
        parseComfyUiWorkflow(readFileSync(path, "utf8"), `${basename(path)} of NEXUS_MUSIC_WORKFLOWS`),
      ] as const,
  );
  return createComfyUiJobs({
    baseUrl: url,
    key,
    hint: "Start it, or say in NEXUS_MUSIC_URL where it is.",
    workflows: new Map(named),
    values: valuesOf,
    types,
  });
}

const usualSeconds = 30;

/** What stands for `%name%` in a workflow of music. */
function valuesOf({ prompt, seconds, fields }: JobOrder) {
  return {
    prompt,
    lyrics: String(fields.lyrics ?? ""),
    seconds: seconds ?? usualSeconds,
    seed: typeof fields.seed === "number" ? fields.seed : randomInt(2 ** 32 - 1),
  };
}
