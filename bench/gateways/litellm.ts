import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, start, untilReady } from "../processes.ts";
import { model } from "../wire.ts";
import { freePort, type GatewayKind, logFile, type Place, plain } from "./gateway.ts";
import { installedDirectory, installOnce, patience, peersDirectory } from "./peers.ts";

const home = join(installedDirectory, ".litellm");
const program = join(home, "bin", "litellm");
const requirements = join(peersDirectory, "litellm.txt");
const masterKey = "sk-bench-litellm";

/** It answers ten times slower while it starts than any other. */
const startMs = 60_000;

function configuration(place: Place): string {
  const parameters = { model: `openai/${model}`, api_base: `http://127.0.0.1:${place.upstreamPort}/v1`, api_key: "sk" };
  // JSON is YAML.
  return JSON.stringify({
    model_list: [{ model_name: model, litellm_params: parameters }],
    litellm_settings: { callbacks: ["prometheus"], telemetry: false },
    general_settings: { master_key: masterKey },
  });
}

/** LiteLLM's proxy from PyPI, without a database: its keys other than the master key, its limits and records need one. */
export const litellm: GatewayKind = {
  name: "litellm",
  title: "LiteLLM",
  features: "key (the master key), route, log line, metrics; limits and record need its database",
  hasWorkers: false,
  async prepare(options) {
    const limits = { timeoutMs: patience(options), signal: options.signal };
    await installOnce(program, options, async () => {
      if (options.isQuick) throw new Error("not installed; it takes minutes: run once without --quick");
      await run(["python3", "-m", "venv", home], limits);
      const install = [join(home, "bin", "pip"), "install", "--quiet", "--requirement", requirements];
      await run(install, limits);
    });
    return /==([\d.]+)/.exec(readFileSync(requirements, "utf8"))?.[1] ?? "";
  },
  async start(place) {
    const port = await freePort();
    const config = join(place.directory, "config.yaml");
    writeFileSync(config, configuration(place));
    const process = start({
      command: [program, "--config", config, "--host", "127.0.0.1", "--port", String(port), "--num_workers", "1"],
      cores: place.cores,
      environment: { LITELLM_LOCAL_MODEL_COST_MAP: "True", NO_DOCS: "True" },
      directory: place.directory,
      logFile: logFile(place),
    });
    await untilReady(process, { port, path: "/health/liveliness", timeoutMs: startMs });
    return { ...plain, headers: { authorization: `Bearer ${masterKey}` }, port, process };
  },
};
