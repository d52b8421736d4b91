import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, extname } from "node:path";
import { createComfyUiJobs, type JobBackend, type JobOrder, parseComfyUiWorkflow } from "nexus/service-kit";
import { createOpenAiVideos } from "./openai-videos.ts";
import type { VideoSettings } from "./settings.ts";

const types = { mp4: "video/mp4", webm: "video/webm", mov: "video/quicktime", webp: "image/webp", gif: "image/gif" };

/**
 * The backend that the settings choose.
 * @throws NexusError `invalid_request` for a workflow that is none.
 */
export function openBackend({ backend, url, key, workflows, framesPerSecond }: VideoSettings): JobBackend {
  if (backend === "openai") return createOpenAiVideos(url, key);
  const named = workflows.map(
    (path) =>
      [
        basename(path, extname(path)),
        parseComfyUiWorkflow(readFileSync(path, "utf8"), `${basename(path)} of NEXUS_VIDEO_WORKFLOWS`),
      ] as const,
  );
  return createComfyUiJobs({
    baseUrl: url,
    key,
    hint: "Start it, or say in NEXUS_VIDEO_URL where it is.",
    workflows: new Map(named),
    values: (order) => valuesOf(order, framesPerSecond),
    types,
  });
}

const usualSeconds = 5;

/** What stands for `%name%` in a workflow of films. */
function valuesOf({ prompt, seconds, fields }: JobOrder, framesPerSecond: number) {
  const [, width, height] = /^(\d+)x(\d+)$/.exec(String(fields.size ?? "")) ?? [];
  const length = seconds ?? usualSeconds;
  return {
    prompt,
    negative_prompt: String(fields.negative_prompt ?? ""),
    seconds: length,
    // One more, as video models count: the first frame and what follows from it.
    frames: Math.round(length * framesPerSecond) + 1,
    width: Number(width ?? 832),
    height: Number(height ?? 480),
    seed: typeof fields.seed === "number" ? fields.seed : randomInt(2 ** 32 - 1),
  };
}
