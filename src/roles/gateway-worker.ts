import { systemClock } from "../base/clock.ts";
import { createLogger } from "../observability/logger.ts";
import { renderSamples } from "../observability/metric-sample.ts";
import { createMetrics, type Metrics } from "../observability/metrics.ts";
import { ownProcess } from "../service-kit/own-process.ts";
import { openLink } from "../workers/link.ts";
import { Member } from "../workers/member.ts";
import type { ToPrimary, ToWorker } from "../workers/messages.ts";
import { listenDescriptor } from "../workers/worker-pool.ts";
import { prepareGateway } from "./gateway-config.ts";
import { openGateway } from "./open-gateway.ts";
import { partOf, type WorkerSettings } from "./worker-settings.ts";

/**
 * One worker of a gateway. It serves until its primary tells it to drain. When the primary has gone it drains as well,
 * so that a successor finds the port free at once and no stream is cut that can end in time.
 */
export async function runWorker(environment: Readonly<Record<string, string | undefined>>): Promise<void> {
  let leave = (): void => process.exit(0);
  const link = openLink<ToPrimary, ToWorker>(process);
  const member = new Member(link, systemClock, () => leave());
  const { index, workers, settings } = await member.started;
  const { config, paths } = settings as WorkerSettings;
  let logLevel = config.logs.level;
  const log = createLogger({ level: () => logLevel, fields: { process: "gateway", worker: index } });
  const own = createMetrics();
  const metrics: Metrics = { ...own, text: async () => renderSamples(await member.samples(own.samples())) };
  const opened = await openGateway({
    loaded: { config: partOf(config, workers), paths },
    environment,
    metrics,
    ledger: member.limits,
    log,
    shared: {
      index,
      descriptor: listenDescriptor,
      slots: (isDeclared) => member.slots(isDeclared),
      isMine: (key) => member.isMine(key),
      tell: (news) => member.tell(news),
      record: (id) => member.record(id),
      records: (filter, limit) => member.records(filter, limit),
    },
  });
  const { gateway, records } = opened;
  const setLogLevel = (level: typeof logLevel) => {
    logLevel = level;
  };
  member.serve({
    samples: () => own.samples(),
    record: (id) => records.findHere(id),
    records: (filter, limit) => records.listHere(filter, limit),
    news: (news) => gateway.learn(news),
    partChanged: () => gateway.partChanged(),
    prepare: (next) => prepareGateway({ ...opened, setLogLevel }, partOf((next as WorkerSettings).config, workers)),
  });
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= opened.close();
    return closing;
  };
  ownProcess(close, log);
  leave = () => void close().finally(() => process.exit(0));
}
