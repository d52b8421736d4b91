import manifest from "../../package.json" with { type: "json" };
import { systemClock } from "../base/clock.ts";
import { writeFileAtomic } from "../base/write-file-atomic.ts";
import type { Roles } from "../cli/roles.ts";
import { LocalLedger } from "../keys/local-ledger.ts";
import { createLogger } from "../observability/logger.ts";
import { createMetrics } from "../observability/metrics.ts";
import { readServiceEnvironment } from "../service-kit/environment.ts";
import { ownProcess } from "../service-kit/own-process.ts";
import { followGatewayConfig, prepareGateway } from "./gateway-config.ts";
import { openGateway } from "./open-gateway.ts";

/** A gateway that is one process. */
export const runAlone: Roles["runGateway"] = async ({ loaded, environment, onHangup }) => {
  let logLevel = loaded.config.logs.level;
  const log = createLogger({ level: () => logLevel, fields: { process: "gateway" } });
  const service = readServiceEnvironment(environment);
  const metrics = createMetrics();
  const opened = await openGateway({ loaded, environment, metrics, ledger: new LocalLedger(systemClock), log });
  const { url } = opened.gateway;
  if (service.runFile !== undefined) {
    await writeFileAtomic(service.runFile, `${JSON.stringify({ pid: process.pid, url })}\n`);
  }
  const setLogLevel = (level: typeof logLevel) => {
    logLevel = level;
  };
  const live = followGatewayConfig({
    loaded,
    prepare: (next) => prepareGateway({ ...opened, setLogLevel }, next.config),
    isChild: service.controlUrl !== undefined,
    metrics,
    clock: systemClock,
    log,
  });
  onHangup(() => void live.reload());
  log.info({ url, version: manifest.version }, "gateway listens");
  ownProcess(async () => {
    await live.close();
    await opened.close();
    log.info({}, "gateway stopped");
  }, log);
};
