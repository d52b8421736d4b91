import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { TestContext } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { createSupervisor, type Supervisor } from "../../src/supervisor/create-supervisor.ts";
import { createProcessDriver } from "../../src/supervisor/process-driver.ts";
import type { ProcessSpec } from "../../src/supervisor/process-spec.ts";
import type { ProcessStatus } from "../../src/supervisor/process-status.ts";
import { defaultSupervisionPolicy, type SupervisionPolicy } from "../../src/supervisor/reconcile.ts";
import { processFiles } from "../../src/supervisor/run-file.ts";

export const fakeChild = resolve(import.meta.dirname, "../fakes/fake-child.ts");

/**
 * Ten times as fast as the default, so that what takes seconds can be watched in tests. Only the time to answer in is
 * that of a busy machine.
 */
export const fastPolicy: SupervisionPolicy = {
  ...defaultSupervisionPolicy,
  backoffMinMs: 50,
  healthIntervalMs: 300,
  probeTimeoutMs: 1_000,
  hungStopGraceMs: 200,
  readyIntervalMs: 50,
};

/** A spec that runs `fake-child.ts` in these modes. */
export function childSpec(name: string, modes: readonly string[], fields: Partial<ProcessSpec> = {}): ProcessSpec {
  const command: [string, ...string[]] = [process.execPath, fakeChild, ...modes];
  return { name, command, env: {}, cwd: tmpdir(), graceMs: 0, stopGraceMs: 2_000, ...fields };
}

/** Run and log directories that go with the test. */
export function temporaryDirectories(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), "nexus-supervisor-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const directories = { run: join(root, "run"), logs: join(root, "logs") };
  const files = (name: string) => processFiles(directories, name);
  return { root, directories, files, logOf: (name: string) => readFileSync(files(name).logFile, "utf8") };
}

/** A supervisor of real processes, which go with the test. */
export function superviseReal(
  t: TestContext,
  directories: { run: string; logs: string },
  specs: readonly ProcessSpec[],
  policy = fastPolicy,
): Supervisor {
  const environment = process.env;
  const driver = createProcessDriver({ directories, environment, clock: systemClock, log: silentLogger });
  const supervisor = createSupervisor({ specs, driver, clock: systemClock, log: silentLogger, policy });
  t.after(() => supervisor.stop());
  return supervisor;
}

/** Resolves to the first status of `name` for which `isIt` holds; rejects after 30 s. */
export function statusOf(
  supervisor: Supervisor,
  name: string,
  isIt: (status: ProcessStatus) => boolean,
): Promise<ProcessStatus> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const status = supervisor.status().find((each) => each.name === name);
      if (status === undefined || !isIt(status)) return;
      forget();
      clearTimeout(timeout);
      resolve(status);
    };
    // Also what keeps this process alive: timers of the clock do not.
    const timeout = setTimeout(() => {
      forget();
      reject(new Error(`never came: ${JSON.stringify(supervisor.status())}`));
    }, 30_000);
    const forget = supervisor.onChange(look);
    look();
  });
}
