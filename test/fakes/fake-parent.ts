import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { createSupervisor } from "../../src/supervisor/create-supervisor.ts";
import { createProcessDriver } from "../../src/supervisor/process-driver.ts";

/** A supervisor to be killed. `node fake-parent.ts '{"directories": ..., "specs": [...]}'`; prints statuses as JSON. */
const { directories, specs } = JSON.parse(process.argv[2] ?? "{}");
const driver = createProcessDriver({ directories, environment: process.env, clock: systemClock, log: silentLogger });
const supervisor = createSupervisor({ specs, driver, clock: systemClock, log: silentLogger });
supervisor.onChange((statuses) => process.stdout.write(`${JSON.stringify(statuses)}\n`));
setTimeout(() => process.exit(1), 60_000);
await supervisor.start();
