import { readFileSync } from "node:fs";
import { join } from "node:path";
import { run, start, untilReady } from "../processes.ts";
import { freePort, type GatewayKind, logFile, plain } from "./gateway.ts";
import { installedDirectory, installOnce, patience, peersDirectory } from "./peers.ts";

const home = join(installedDirectory, "@portkey-ai", "gateway");
const entry = join(home, "build", "start-server.js");

/** Portkey's gateway from npm. Keys, limits and records are part of its hosted product only. */
export const portkey: GatewayKind = {
  name: "portkey",
  title: "Portkey",
  features: "route; it has no key, limits, record, log line or metrics without its hosted part",
  hasWorkers: false,
  async prepare(options) {
    const install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"];
    await installOnce(entry, options, () =>
      run(install, { timeoutMs: patience(options), directory: peersDirectory, signal: options.signal }),
    );
    const manifest = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as { version: string };
    return manifest.version;
  },
  async start(place) {
    const port = await freePort();
    const process_ = start({
      command: [process.execPath, entry, `--port=${port}`, "--headless"],
      cores: place.cores,
      environment: { NODE_ENV: "production" },
      directory: place.directory,
      logFile: logFile(place),
    });
    await untilReady(process_, { port, path: "/", timeoutMs: 30_000 });
    const headers = {
      authorization: "Bearer sk-bench",
      "x-portkey-provider": "openai",
      "x-portkey-custom-host": `http://127.0.0.1:${place.upstreamPort}/v1`,
    };
    return { ...plain, headers, port, process: process_ };
  },
};
