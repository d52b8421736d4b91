import { type Attacher, createAttacher } from "../attach/attacher.ts";
import { createDiscovery } from "../attach/discovery.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { PlatformRequest } from "../cli/roles.ts";
import { clientUrl } from "../config/client-url.ts";
import type { ResolveSecret } from "../config/secrets.ts";
import type { Registry } from "../registry/registry.ts";
import type { Supervisor } from "../supervisor/create-supervisor.ts";

export interface ServersOptions {
  readonly request: PlatformRequest;
  /** Name of this machine in records. */
  readonly hostId: string;
  readonly registry: Registry;
  readonly supervisor: Supervisor;
  readonly resolveSecret: ResolveSecret;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The model servers that run without Nexus: those that the operator attached, and those that are found. */
export interface Servers {
  readonly attacher: Attacher;
  start(): void;
  stop(): Promise<void>;
}

export function openServers(options: ServersOptions): Servers {
  const { request, hostId, registry, supervisor, resolveSecret, clock, log } = options;
  const { config, paths } = request.loaded;
  const { discovery, listen } = config;
  const attacher = createAttacher({
    registry,
    storePath: paths.attachments,
    clock,
    log,
    resolveSecret,
    hostId,
    declared: config.attach,
  });
  const finder = createDiscovery({
    attacher,
    ports: discovery.ports,
    intervalMs: discovery.intervalSeconds * 1_000,
    ownUrls: () => [clientUrl(listen), ...supervisor.status().flatMap(({ url }) => url ?? [])],
    clock,
    log,
  });
  return {
    attacher,
    start() {
      attacher.start();
      if (discovery.enabled) finder.start();
    },
    async stop() {
      await finder.stop();
      await attacher.stop();
    },
  };
}
