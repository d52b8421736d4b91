import { readFileSync } from "node:fs";
import { readServiceEnvironment, runService } from "nexus/service-kit";
import { createModerationService } from "./create-moderation-service.ts";
import { readModerationSettings } from "./settings.ts";

const environment = readServiceEnvironment(process.env);
const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};
const service = createModerationService({
  settings: readModerationSettings(process.env, environment.dataDirectory),
  version: manifest.version,
  environment: process.env,
});

await runService(service, environment);
