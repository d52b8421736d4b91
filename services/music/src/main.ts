import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createJobService, readServiceEnvironment, runService } from "nexus/service-kit";
import { openBackend } from "./open-backend.ts";
import { readMusicSettings } from "./settings.ts";

const environment = readServiceEnvironment(process.env);
const { dataDirectory, service: name = "music" } = environment;
const settings = readMusicSettings(process.env);
const backend = openBackend(settings);
const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};
const service = createJobService({
  kind: "music",
  backend,
  version: manifest.version,
  description: `Music made by ${backend.title}.`,
  models: settings.models,
  jobsFile: dataDirectory === undefined ? undefined : join(dataDirectory, "services", name, "jobs.json"),
  ui: {
    options: [
      { key: "prompt", label: "What is to be heard", type: "text" },
      { key: "lyrics", label: "Lyrics", type: "text" },
      { key: "seconds", label: "Seconds", type: "integer", min: 10, max: 600 },
      { key: "response_format", label: "Format", type: "enum", values: ["mp3", "wav", "flac"], default: "mp3" },
    ],
  },
});

await runService(service, environment);
