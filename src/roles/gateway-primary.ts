import { fileURLToPath } from "node:url";
import manifest from "../../package.json" with { type: "json" };
import { systemClock } from "../base/clock.ts";
import { writeFileAtomic } from "../base/write-file-atomic.ts";
import type { Roles } from "../cli/roles.ts";
import { clientUrl } from "../config/client-url.ts";
import { createLogger } from "../observability/logger.ts";
import { createMetrics } from "../observability/metrics.ts";
import { newInstanceName, readServiceEnvironment } from "../service-kit/environment.ts";
import { ownProcess } from "../service-kit/own-process.ts";
import { bindAddress } from "../workers/bind-address.ts";
import { Primary } from "../workers/primary.ts";
import { WorkerPool } from "../workers/worker-pool.ts";
import { followGatewayConfig } from "./gateway-config.ts";
import { type WorkerSettings, workerArgument } from "./worker-settings.ts";

const entry = fileURLToPath(new URL("../main.ts", import.meta.url));
/** Time that workers get beyond their own drain before they are killed. */
const stopReserveMs = 1_000;

/**
 * The primary of a gateway with several workers: holds the socket, keeps the workers running, and counts what they
 * share. It reads no request.
 */
export async function runPrimary(request: Parameters<Roles["runGateway"]>[0], count: number): Promise<void> {
  const { loaded, environment, onHangup } = request;
  let { logs, gateway, listen } = loaded.config;
  const log = createLogger({ level: () => logs.level, fields: { process: "gateway" } });
  const service = readServiceEnvironment(environment);
  const metrics = createMetrics();
  const socket = await bindAddress(listen);
  const first: WorkerSettings = { config: loaded.config, paths: loaded.paths };
  const primary = new Primary(
    { workers: () => pool.workers, samples: () => metrics.samples(), clock: systemClock },
    first,
  );
  const pool = new WorkerPool({
    count,
    entry,
    argv: [workerArgument],
    environment: { ...environment, NEXUS_INSTANCE: service.instance ?? newInstanceName("gateway") },
    socketDescriptor: socket.descriptor,
    onStart: (worker) => primary.join(worker, count),
    onMessage: (worker, message) => primary.receive(worker, message),
    onGone: (worker) => primary.leave(worker),
    clock: systemClock,
    log,
  });
  const stop = async () => {
    socket.close();
    await pool.stop(gateway.timeouts.drainMs + stopReserveMs);
    primary.close();
    metrics.close();
  };
  await pool.start().catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const url = clientUrl({ host: listen.host, port: socket.port });
  if (service.runFile !== undefined) {
    await writeFileAtomic(service.runFile, `${JSON.stringify({ pid: process.pid, url })}\n`);
  }
  const live = followGatewayConfig({
    loaded,
    prepare: async ({ config, paths }) => {
      const commit = await primary.prepare({ config, paths } satisfies WorkerSettings);
      return () => {
        ({ logs, gateway } = config);
        commit();
      };
    },
    isChild: service.controlUrl !== undefined,
    metrics,
    clock: systemClock,
    log,
  });
  onHangup(() => void live.reload());
  log.info({ url, version: manifest.version, workers: count }, "gateway listens");
  ownProcess(async () => {
    await live.close();
    await stop();
    log.info({}, "gateway stopped");
  }, log);
}
