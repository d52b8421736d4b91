import { dirname, join } from "node:path";
import { type BuiltinServiceName, builtinServiceNames } from "../config/builtin-services.ts";
import type { DataPaths } from "../config/paths.ts";
import type { Config } from "../config/schema.ts";
import { gatewayProcess, modelProcess } from "../control/describe-platform.ts";
import { toProcessSpec } from "../supervisor/config.ts";
import type { ProcessSpec } from "../supervisor/process-spec.ts";
import { describeGatewayFile, type GatewayFile } from "./gateway-file.ts";
import { gatewayNodeFlags } from "./gateway-node-flags.ts";

export interface ChildSpecsOptions {
  readonly config: Config;
  readonly paths: DataPaths;
  /** `main.ts`, with which the gateway is started. */
  readonly entry: string;
  /** The directory of the services that come with Nexus: each has its entry at `NAME/src/main.ts`. */
  readonly servicesDirectory: string;
  readonly version: string;
  /** Name of this machine in records. */
  readonly hostId: string;
  /** Of this process; children get little of it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * Of the services that come with Nexus. Whoever loads or computes takes all the processor there is; the gateway, which
 * needs little and on which everybody waits, goes first: beside seven services it starts in 1.5 s instead of 5.
 */
const builtinNiceness = 10;

/** Time that a child gets beyond its own drain before it is killed. */
const stopReserveMs = 2_000;

/** What a platform runs, and what its gateway reads. */
export interface Children {
  /** In the order of their start. */
  readonly specs: readonly ProcessSpec[];
  readonly gatewayFile: GatewayFile;
}

/** The processes of a platform under a configuration. Decides, and writes nothing. */
export function describeChildren(options: ChildSpecsOptions): Children {
  const { config, paths } = options;
  const gatewayFile = describeGatewayFile(config, paths);
  return {
    specs: [
      ...(config.builtin.llm ? [llmSpec(options)] : []),
      ...builtinServiceNames
        .filter((name) => config.builtin.services[name]?.enabled === true)
        .map((name) => builtinSpec(options, name, config.builtin.services[name]?.env ?? {})),
      ...config.services.filter((service) => service.enabled).map((service) => toProcessSpec(service, paths.root)),
      // Last to start means first to stop: its requests can end before what serves them is told to go.
      gatewaySpec(options, gatewayFile.path),
    ],
    gatewayFile,
  };
}

function gatewaySpec({ config, paths, entry, version, hostId }: ChildSpecsOptions, file: string): ProcessSpec {
  return {
    name: gatewayProcess,
    command: [process.execPath, ...gatewayNodeFlags, entry, "gateway", "--data", paths.root, "--config", file],
    env: {
      NEXUS_CONTROL_URL: `unix:${paths.controlSocket}`,
      NEXUS_SERVICE: "gateway",
      NEXUS_INSTANCE: "main",
      NEXUS_HOST_ID: hostId,
      NEXUS_RELEASE: version,
      ...keepCompiled(entry),
    },
    cwd: paths.root,
    health: { path: "/health" },
    ready: { path: "/readyz" },
    graceMs: 10_000,
    stopGraceMs: config.gateway.timeouts.drainMs + stopReserveMs,
  };
}

function llmSpec(options: ChildSpecsOptions): ProcessSpec {
  const { contextTokens, threads, parallel } = options.config.builtin;
  return builtinSpec(options, modelProcess, {
    NEXUS_LLM_MODEL: options.config.models.default,
    ...(contextTokens === undefined ? {} : { NEXUS_LLM_CONTEXT: String(contextTokens) }),
    ...(threads === undefined ? {} : { NEXUS_LLM_THREADS: String(threads) }),
    ...(parallel === undefined ? {} : { NEXUS_LLM_PARALLEL: String(parallel) }),
  });
}

/** A service that comes with Nexus, with settings of its own. */
function builtinSpec(
  { config, paths, entry, servicesDirectory, version, hostId, environment }: ChildSpecsOptions,
  name: BuiltinServiceName | typeof modelProcess,
  settings: Readonly<Record<string, string>>,
): ProcessSpec {
  return {
    name,
    command: [process.execPath, join(servicesDirectory, name, "src", "main.ts")],
    env: {
      NEXUS_MODELS_DIR: config.models.directory ?? paths.models,
      ...pipVariables(environment),
      ...settings,
      NEXUS_CONTROL_URL: `unix:${paths.controlSocket}`,
      NEXUS_SERVICE: name,
      NEXUS_INSTANCE: "builtin",
      NEXUS_HOST: "127.0.0.1",
      NEXUS_PORT: "0",
      NEXUS_DATA: paths.root,
      NEXUS_HOST_ID: hostId,
      NEXUS_RELEASE: version,
      ...keepCompiled(entry),
    },
    niceness: builtinNiceness,
    // It would load its model anew for another level: that waits until it is started for another reason.
    envAtStart: { NEXUS_LOG_LEVEL: config.logs.level },
    cwd: paths.root,
    health: { path: "/health" },
    ready: { path: "/readyz" },
    // It listens within a second and downloads afterwards; the rest is for a slow disk.
    graceMs: 60_000,
    stopGraceMs: 30_000 + stopReserveMs,
  };
}

/**
 * Has Node keep what it makes of the sources, where `main.ts` keeps it. Told by the environment, because what is told
 * in a file is too late for that file: reading even one anew loads Node's reader of TypeScript, 20 MB.
 */
function keepCompiled(entry: string): Record<string, string> {
  return { NODE_COMPILE_CACHE: join(dirname(entry), "..", "node_modules", ".cache", "compile") };
}

/** Models may come from the Python package index: pip is to find it as it does in the operator's shell. */
function pipVariables(environment: ChildSpecsOptions["environment"]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) =>
      name.startsWith("PIP_") && value !== undefined ? [[name, value]] : [],
    ),
  );
}
