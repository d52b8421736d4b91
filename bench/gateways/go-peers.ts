import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, type StartOptions, start, untilReady } from "../processes.ts";
import { model } from "../wire.ts";
import { chatPath, freePort, type GatewayKind, logFile, type Place, type RunningGateway } from "./gateway.ts";
import { installedDirectory, installOnce, patience } from "./peers.ts";

const home = join(installedDirectory, ".go");
const startMs = 60_000;
const masterKey = "sk-bench-gateway";

/** What differs between gateways that are one Go program. */
interface GoGateway {
  readonly name: string;
  readonly title: string;
  readonly features: string;
  /** What `go install` takes, and the program that it leaves. */
  readonly module: string;
  readonly program: string;
  readonly readyPath: string;
  /** Writes its settings and says how to start it. */
  readonly configure: (place: Place, port: number) => Pick<StartOptions, "environment"> & { arguments: string[] };
  readonly request: Pick<RunningGateway, "path" | "headers" | "model">;
}

function goGateway(options: GoGateway): GatewayKind {
  const { name, title, features, module, readyPath, request } = options;
  const program = join(home, options.program);
  return {
    name,
    title,
    features,
    hasWorkers: false,
    async prepare(limits) {
      const { signal } = limits;
      await installOnce(program, limits, async () => {
        mkdirSync(home, { recursive: true });
        await run(["go", "install", `${module}@latest`], {
          environment: { GOBIN: home },
          timeoutMs: patience(limits),
          signal,
        });
      });
      const text = await run(["go", "version", "-m", program], { timeoutMs: 10_000, signal });
      return /^\s+mod\s+\S+\s+(\S+)/m.exec(text)?.[1] ?? "";
    },
    async start(place) {
      const port = await freePort();
      const settings = options.configure(place, port);
      const process = start({
        command: [program, ...settings.arguments],
        cores: place.cores,
        // Go sees all cores of the machine: a gateway on one core is to know that it has one.
        environment: { GOMAXPROCS: String(place.cores.length), ...settings.environment },
        directory: place.directory,
        logFile: logFile(place),
      });
      await untilReady(process, { port, path: readyPath, timeoutMs: startMs });
      return { ...request, port, process };
    },
  };
}

function writeConfig(place: Place, name: string, config: unknown): string {
  const file = join(place.directory, name);
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config));
  return file;
}

/** Olla: routing to local servers, without keys. */
export const olla = goGateway({
  name: "olla",
  title: "Olla",
  features: "route, log line; it has no key, token limits or record",
  module: "github.com/thushan/olla",
  program: "olla",
  readyPath: "/internal/health",
  request: { path: `/olla/openai${chatPath}`, headers: {}, model },
  configure(place, port) {
    const endpoint = { url: `http://127.0.0.1:${place.upstreamPort}`, name: "mock", type: "openai", priority: 100 };
    const unlimited = { global_requests_per_minute: 0, per_ip_requests_per_minute: 0, health_requests_per_minute: 0 };
    const config = writeConfig(place, "olla.yaml", {
      server: { host: "127.0.0.1", port, request_logging: true, write_timeout: "0s", rate_limits: unlimited },
      proxy: { engine: "olla", load_balancer: "priority" },
      discovery: {
        type: "static",
        static: { endpoints: [{ ...endpoint, model_url: "/v1/models", health_check_url: "/v1/models" }] },
      },
      logging: { level: "info", format: "json", output: "stdout" },
    });
    return { arguments: ["--config", config] };
  },
});

/** GoModel with its keys, records, usage and metrics on. */
export const gomodel = goGateway({
  name: "gomodel",
  title: "GoModel",
  features: "all: key, limits, route, record (SQLite), log line, metrics",
  module: "github.com/enterpilot/gomodel/cmd/gomodel",
  program: "gomodel",
  readyPath: "/health",
  request: { path: chatPath, headers: { authorization: `Bearer ${masterKey}` }, model: `openai/${model}` },
  configure: (place, port) => ({
    arguments: [],
    environment: {
      PORT: String(port),
      GOMODEL_MASTER_KEY: masterKey,
      GOMODEL_OFFLINE: "true",
      OPENAI_API_KEY: "sk-bench",
      OPENAI_BASE_URL: `http://127.0.0.1:${place.upstreamPort}/v1`,
      METRICS_ENABLED: "true",
      LOGGING_ENABLED: "true",
      LOGGING_LOG_BODIES: "false",
      USAGE_ENABLED: "true",
      SQLITE_PATH: join(place.directory, "gomodel.db"),
      GOMODEL_CACHE_DIR: join(place.directory, "cache"),
      PID_FILE: join(place.directory, "gomodel.pid"),
    },
  }),
});

/** Bifrost's HTTP transport from a file: its keys and records need a database of its own. */
export const bifrost = goGateway({
  name: "bifrost",
  title: "Bifrost",
  features: "route, log line, metrics; key, limits and record need its database",
  module: "github.com/maximhq/bifrost/transports/bifrost-http",
  program: "bifrost-http",
  readyPath: "/health",
  request: { path: chatPath, headers: {}, model: `openai/${model}` },
  configure(place, port) {
    writeConfig(place, "config.json", {
      client: { drop_excess_requests: false, enable_logging: false },
      providers: {
        openai: {
          keys: [{ name: "bench", value: "sk-bench", models: ["*"], weight: 1 }],
          network_config: { base_url: `http://127.0.0.1:${place.upstreamPort}` },
          concurrency_and_buffer_size: { concurrency: 64, buffer_size: 1_024 },
        },
      },
      config_store: { enabled: false },
    });
    return { arguments: ["-app-dir", place.directory, "-host", "127.0.0.1", "-port", String(port)] };
  },
});
