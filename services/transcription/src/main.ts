import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { readServiceEnvironment, runService } from "nexus/service-kit";
import { createTranscriptionService } from "./create-transcription-service.ts";
import { readTranscriptionSettings } from "./settings.ts";

const environment = readServiceEnvironment(process.env);
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};
const settings = readTranscriptionSettings(process.env, availableParallelism(), environment.dataDirectory);

await runService(createTranscriptionService({ settings, version, environment: process.env }), environment);
