import { readFileSync } from "node:fs";
import { readTextModelSettings } from "@nexus/embeddings/text-models";
import { readServiceEnvironment, runService } from "nexus/service-kit";
import { createRerankService } from "./create-rerank-service.ts";

const environment = readServiceEnvironment(process.env);
const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};
const service = createRerankService({
  settings: readTextModelSettings(process.env, "NEXUS_RERANK", environment.dataDirectory),
  version: manifest.version,
  environment: process.env,
});

await runService(service, environment);
