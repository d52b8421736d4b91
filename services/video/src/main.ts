import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createJobService, readServiceEnvironment, runService } from "nexus/service-kit";
import { openBackend } from "./open-backend.ts";
import { readVideoSettings } from "./settings.ts";

const environment = readServiceEnvironment(process.env);
const { dataDirectory, service: name = "video" } = environment;
const settings = readVideoSettings(process.env);
const backend = openBackend(settings);
const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};
const service = createJobService({
  kind: "video",
  backend,
  version: manifest.version,
  description: `Films made by ${backend.title}.`,
  models: settings.models,
  jobsFile: dataDirectory === undefined ? undefined : join(dataDirectory, "services", name, "jobs.json"),
  ui: {
    options: [
      { key: "prompt", label: "What is to be seen", type: "text" },
      { key: "seconds", label: "Seconds", type: "integer", min: 1, max: 60 },
      { key: "size", label: "Size", type: "string", description: "Such as 1280x720." },
    ],
  },
});

await runService(service, environment);
