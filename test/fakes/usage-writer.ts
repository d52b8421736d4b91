/** A gateway's usage recorder as a process, to be killed: counts one request every 10 ms until then. */
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { LocalLedger } from "../../src/keys/local-ledger.ts";
import { SpendWatch } from "../../src/keys/spend-watch.ts";
import { createUsageRecorder } from "../../src/keys/usage-recorder.ts";
import { createUsageStore } from "../../src/keys/usage-store.ts";
import { openDatabase } from "../../src/store/open-database.ts";

const [url = "", spoolDirectory = ""] = process.argv.slice(2);
const clock = systemClock;
const database = openDatabase({ url: async () => url, isDurable: false, log: silentLogger });
const store = createUsageStore({ database, clock });
const spend = new SpendWatch({ ledger: new LocalLedger(clock), store, clock });
const recorder = createUsageRecorder({ store, spend, spoolDirectory, clock, log: silentLogger });
setInterval(() => {
  recorder.record({
    keyId: "key_a",
    tenantId: "ten_default",
    model: "m",
    operation: "o",
    costMicroUsd: 0,
    isError: false,
    promptTokens: 1,
  });
}, 10);
