import { readFileSync } from "node:fs";
import { readServiceEnvironment, runService } from "nexus/service-kit";
import { createEmbeddingsService } from "./create-embeddings-service.ts";
import { readTextModelSettings } from "./settings.ts";

const environment = readServiceEnvironment(process.env);
const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};
const service = createEmbeddingsService({
  settings: readTextModelSettings(process.env, "NEXUS_EMBEDDINGS", environment.dataDirectory),
  version: manifest.version,
  environment: process.env,
});

await runService(service, environment);
