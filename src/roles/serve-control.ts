import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { LoadedConfig } from "../config/load.ts";
import { isLoopbackHost } from "../config/loopback.ts";
import type { ResolveSecret } from "../config/secrets.ts";
import { attachmentRoutes } from "../control/attachment-routes.ts";
import { configRoutes } from "../control/config-routes.ts";
import { keyRoutes } from "../control/key-routes.ts";
import { type PlatformControl, platformRoutes } from "../control/platform-routes.ts";
import { registryRoutes } from "../control/registry-routes.ts";
import { secretRoutes } from "../control/secret-routes.ts";
import { type ControlServer, startControlServer } from "../control/server.ts";
import { tenantRoutes } from "../control/tenant-routes.ts";
import { usageRoutes } from "../control/usage-routes.ts";
import { isWeakKey } from "../keys/key-secret.ts";
import type { KeyStore } from "../keys/key-store.ts";
import { createTenantStore } from "../keys/tenant-store.ts";
import { createUsageStore } from "../keys/usage-store.ts";
import type { EmbeddedRegistry } from "../registry/embedded-registry.ts";
import type { Database } from "../store/open-database.ts";
import type { LivePlatform } from "./live-platform.ts";
import type { Servers } from "./open-servers.ts";

export interface ControlParts extends PlatformControl {
  /** What the platform was started with. */
  readonly loaded: LoadedConfig;
  readonly registry: EmbeddedRegistry;
  readonly database: Database;
  readonly keys: KeyStore;
  readonly servers: Servers;
  readonly live: LivePlatform;
  readonly resolveSecret: ResolveSecret;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The control API of a platform, with the routes of all its rooms. */
export function serveControl(parts: ControlParts): Promise<ControlServer> {
  const { loaded, registry, database, keys, servers, live, resolveSecret, clock, log } = parts;
  const { listen, database: databaseConfig } = loaded.config;
  const tenants = createTenantStore({ database, clock });
  return startControlServer({
    socketPath: loaded.paths.controlSocket,
    log,
    routes: [
      (app) => void app.register(registryRoutes, { registry, clock }),
      attachmentRoutes(servers.attacher),
      keyRoutes({ keys, clock, isTooWeak: (key) => !isLoopbackHost(listen.host) && isWeakKey(key) }),
      usageRoutes({ usage: createUsageStore({ database, clock }), keys, tenants, clock }),
      tenantRoutes(tenants),
      secretRoutes(registry, resolveSecret, databaseConfig.url === undefined ? [] : [databaseConfig.url]),
      configRoutes(live),
      platformRoutes(parts),
    ],
  });
}
