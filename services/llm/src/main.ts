import { readFileSync } from "node:fs";
import { readServiceEnvironment, runService } from "nexus/service-kit";
import { createLlmService } from "./create-llm-service.ts";
import { readLlmSettings } from "./settings.ts";
import { usableCores } from "./usable-cores.ts";

const environment = readServiceEnvironment(process.env);
const settings = readLlmSettings(process.env, usableCores(), environment.dataDirectory);
const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
};
const service = createLlmService({
  settings,
  version: manifest.version,
  backendVersion: `node-llama-cpp ${manifest.dependencies["node-llama-cpp"]}`,
  environment: process.env,
});

await runService(service, environment);
