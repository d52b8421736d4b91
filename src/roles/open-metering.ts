import type { Clock } from "../base/clock.ts";
import { describeError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { LoadedConfig } from "../config/load.ts";
import { importKeysFile } from "../keys/import-keys-store.ts";
import { type KeyCache, openKeyCache } from "../keys/key-cache.ts";
import { createKeyCopy } from "../keys/key-copy.ts";
import { createKeySource } from "../keys/key-snapshot-store.ts";
import type { LimitLedger } from "../keys/limit-ledger.ts";
import { createLimiter } from "../keys/limiter.ts";
import { createMeter, type Meter } from "../keys/meter.ts";
import { openPrices } from "../keys/open-prices.ts";
import { SpendWatch } from "../keys/spend-watch.ts";
import { createUsageRecorder } from "../keys/usage-recorder.ts";
import { createUsageStore } from "../keys/usage-store.ts";
import type { Database } from "../store/open-database.ts";

export interface MeteringOptions {
  readonly loaded: Pick<LoadedConfig, "config" | "paths">;
  readonly database: Database;
  /** Where limits are counted: in this process, or in one that counts for several. */
  readonly ledger: LimitLedger;
  /** Whether no control process takes over the keys of earlier versions. */
  readonly isAlone: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Who may ask, how much, and what was used: all that a gateway keeps in the database. */
export interface Metering {
  readonly keys: KeyCache;
  readonly meter: Meter;
  /**
   * Reads the prices of another file. Nothing changes until the returned function is called.
   * @throws NexusError `invalid_request` when they are wrong, and what the file system throws.
   */
  preparePrices(file: string | undefined): Promise<() => void>;
  /** To be called when the last request has ended. */
  close(): Promise<void>;
}

/** Opens it, whether the database is there or away. */
export async function openMetering(options: MeteringOptions): Promise<Metering> {
  const { loaded, database, ledger, clock, log } = options;
  const { config, paths } = loaded;
  if (options.isAlone) {
    await importKeysFile(paths.keys, database).catch((error: unknown) =>
      log.error({ reason: describeError(error) }, "keys.json could not be taken over"),
    );
  }
  let pricesFile = config.prices.file;
  let prices = await openPrices({ file: pricesFile, clock, log });
  const onBadRow = (error: unknown) => log.error({ reason: describeError(error) }, "a key cannot be read");
  const keys = await openKeyCache({
    source: createKeySource(database, onBadRow),
    copy: createKeyCopy(paths.gatewayKeys),
    clock,
    onProblem: (error) =>
      log.error({ reason: describeError(error) }, "keys cannot be read; the last good ones stay in force"),
  });
  const store = createUsageStore({ database, clock });
  const spend = new SpendWatch({ ledger, store, clock });
  const recorder = createUsageRecorder({ store, spend, spoolDirectory: paths.usageSpool, clock, log });
  return {
    keys,
    meter: createMeter({ limiter: createLimiter({ ledger, clock }), spend, recorder, prices: () => prices.current() }),
    async preparePrices(file) {
      if (file === pricesFile) return () => {};
      const next = await openPrices({ file, clock, log });
      return () => {
        prices.close();
        prices = next;
        pricesFile = file;
      };
    },
    async close() {
      keys.close();
      prices.close();
      await recorder.close();
    },
  };
}
