import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setFlagsFromString } from "node:v8";
import { readServiceEnvironment, runService } from "nexus/service-kit";
import { createOcrService } from "./create-ocr-service.ts";
import { readOcrSettings } from "./settings.ts";

/** 1 GiB, in pages of WebAssembly: what one document may take of memory, however it is made. */
setFlagsFromString("--wasm-max-mem-pages=16384");

const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
};
const service = createOcrService({
  settings: readOcrSettings(process.env, availableParallelism()),
  version: manifest.version,
  backendVersion: `tesseract.js-core ${manifest.dependencies["tesseract.js-core"]}`,
});

await runService(service, readServiceEnvironment(process.env));
