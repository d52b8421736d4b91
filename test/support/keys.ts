import { join } from "node:path";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { type Logger, silentLogger } from "../../src/base/logger.ts";
import { type KeyCache, openKeyCache } from "../../src/keys/key-cache.ts";
import { createKeyCopy } from "../../src/keys/key-copy.ts";
import { createKeySource } from "../../src/keys/key-snapshot-store.ts";
import { createKeyStore, type KeyStore } from "../../src/keys/key-store.ts";
import { createLimiter } from "../../src/keys/limiter.ts";
import { LocalLedger } from "../../src/keys/local-ledger.ts";
import { createMeter, type Meter } from "../../src/keys/meter.ts";
import { freeOfCharge, type PriceList } from "../../src/keys/price-list.ts";
import { SpendWatch } from "../../src/keys/spend-watch.ts";
import { createTenantStore, type TenantStore } from "../../src/keys/tenant-store.ts";
import { createUsageRecorder, type UsageRecorder } from "../../src/keys/usage-recorder.ts";
import { createUsageStore, type UsageStore } from "../../src/keys/usage-store.ts";
import { type Database, openDatabase } from "../../src/store/open-database.ts";

/** The operator's side and one gateway's side of one database. */
export interface TestKeys {
  /** Of the database. */
  readonly url: string;
  readonly database: Database;
  readonly keys: KeyStore;
  readonly tenants: TenantStore;
  readonly usage: UsageStore;
  readonly cache: KeyCache;
  readonly recorder: UsageRecorder;
  readonly meter: Meter;
  close(): Promise<void>;
}

export interface TestKeysOptions {
  /** For the gateway's copy of the keys, its spool and, unless `url` says otherwise, the database. */
  readonly directory: string;
  readonly url?: string;
  readonly prices?: PriceList;
  readonly clock?: Clock;
  readonly log?: Logger;
  readonly onProblem?: (error: unknown) => void;
}

/** Opens both over a database that is empty, or was used before. */
export async function openTestKeys(options: TestKeysOptions): Promise<TestKeys> {
  const { directory, url = `sqlite:${join(directory, "nexus.db")}`, clock = systemClock, log = silentLogger } = options;
  const { prices = freeOfCharge, onProblem = () => {} } = options;
  // Two connections, as two processes have: the gateway's hears of a change as it would from another process.
  const database = openDatabase({ url: async () => url, isDurable: false, log });
  const gatewayDatabase = openDatabase({ url: async () => url, isDurable: false, log });
  const cache = await openKeyCache({
    source: createKeySource(gatewayDatabase, onProblem),
    copy: createKeyCopy(join(directory, "gateway-keys.json")),
    clock,
    onProblem,
  });
  const ledger = new LocalLedger(clock);
  const store = createUsageStore({ database: gatewayDatabase, clock });
  const spend = new SpendWatch({ ledger, store, clock });
  const recorder = createUsageRecorder({ store, spend, spoolDirectory: join(directory, "usage"), clock, log });
  return {
    url,
    database,
    keys: createKeyStore({ database, clock }),
    tenants: createTenantStore({ database, clock }),
    usage: createUsageStore({ database, clock }),
    cache,
    recorder,
    meter: createMeter({ limiter: createLimiter({ ledger, clock }), spend, recorder, prices: () => prices }),
    async close() {
      cache.close();
      await recorder.close();
      await gatewayDatabase.close();
      await database.close();
    },
  };
}
