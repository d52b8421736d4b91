import { readFileSync } from "node:fs";
import { readServiceEnvironment, runService } from "nexus/service-kit";
import { createImageService } from "./create-image-service.ts";
import { openBackend } from "./open-backend.ts";
import { readImageSettings } from "./settings.ts";

const environment = readServiceEnvironment(process.env);
const settings = readImageSettings(process.env);
const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};
const service = createImageService({
  settings,
  backend: openBackend(settings, process.env),
  version: manifest.version,
});

await runService(service, environment);
