import { readFileSync } from "node:fs";
import { readServiceEnvironment, runService } from "nexus/service-kit";
import { createSpeechService } from "./create-speech-service.ts";
import { readSpeechSettings } from "./settings.ts";

const environment = readServiceEnvironment(process.env);
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};
const settings = readSpeechSettings(process.env, environment.dataDirectory);

await runService(createSpeechService({ settings, version, environment: process.env }), environment);
