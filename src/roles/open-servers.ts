import { isDeepStrictEqual } from "node:util";
import { type Attacher, createAttacher } from "../attach/attacher.ts";
import type { DiscoveryConfig } from "../attach/config.ts";
import { createDiscovery } from "../attach/discovery.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { PlatformRequest } from "../cli/roles.ts";
import { clientUrl } from "../config/client-url.ts";
import type { Config } from "../config/schema.ts";
import type { ResolveSecret } from "../config/secrets.ts";
import type { Registry } from "../registry/registry.ts";
import type { Supervisor } from "../supervisor/create-supervisor.ts";

export interface ServersOptions {
  readonly request: PlatformRequest;
  /** Name of this machine in records. */
  readonly hostId: string;
  readonly registry: Registry;
  readonly supervisor: Pick<Supervisor, "status">;
  readonly resolveSecret: ResolveSecret;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The model servers that run without Nexus: those that the operator attached, and those that are found. */
export interface Servers {
  readonly attacher: Attacher;
  start(): void;
  /** For another configuration: see `Attacher.prepareDeclared`. */
  prepare(config: Config): () => void;
  stop(): Promise<void>;
}

export function openServers(options: ServersOptions): Servers {
  const { request, hostId, registry, supervisor, resolveSecret, clock, log } = options;
  const { config, paths } = request.loaded;
  let { discovery } = config;
  const attacher = createAttacher({
    registry,
    storePath: paths.attachments,
    clock,
    log,
    resolveSecret,
    hostId,
    declared: config.attach,
  });
  const openFinder = ({ ports, intervalSeconds }: DiscoveryConfig) =>
    createDiscovery({
      attacher,
      ports,
      intervalMs: intervalSeconds * 1_000,
      ownUrls: () => [clientUrl(config.listen), ...supervisor.status().flatMap(({ url }) => url ?? [])],
      clock,
      log,
    });
  let finder = openFinder(discovery);
  let finding: Promise<void> = Promise.resolve();
  const findOtherwise = (next: DiscoveryConfig) => {
    discovery = next;
    attacher.keepDiscovered((url) => next.enabled && next.ports.includes(Number(new URL(url).port)));
    // One at a time: two would find the same server.
    finding = finding.then(async () => {
      await finder.stop();
      finder = openFinder(next);
      if (next.enabled) finder.start();
    });
  };
  return {
    attacher,
    start() {
      attacher.start();
      if (discovery.enabled) finder.start();
    },
    prepare(next) {
      const takeDeclared = attacher.prepareDeclared(next.attach);
      return () => {
        takeDeclared();
        if (!isDeepStrictEqual(next.discovery, discovery)) findOtherwise(next.discovery);
      };
    },
    async stop() {
      await finding;
      await finder.stop();
      await attacher.stop();
    },
  };
}
