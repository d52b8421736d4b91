import { systemClock } from "../base/clock.ts";
import { silentLogger } from "../base/logger.ts";
import type { DataPaths } from "../config/paths.ts";
import { createSupervisor } from "../supervisor/create-supervisor.ts";
import { findOrphans } from "../supervisor/find-orphans.ts";
import { createProcessDriver } from "../supervisor/process-driver.ts";
import { acquireSingleInstance } from "../supervisor/single-instance.ts";

/**
 * Stops what a parent that was killed left running, in order and with its time to drain. Resolves to the names.
 * @throws NexusError `conflict` when a parent lives after all.
 */
export async function stopOrphans({
  paths,
  environment,
}: {
  readonly paths: DataPaths;
  readonly environment: Readonly<Record<string, string | undefined>>;
}): Promise<readonly string[]> {
  const names = findOrphans(paths.run);
  if (names.length === 0) return [];
  const lock = acquireSingleInstance(paths.root);
  const driver = createProcessDriver({ directories: paths, environment, clock: systemClock, log: silentLogger });
  // A supervisor that wants nothing stops whatever it finds.
  const supervisor = createSupervisor({ specs: [], driver, clock: systemClock, log: silentLogger });
  try {
    await supervisor.start();
    await supervisor.stop();
  } finally {
    lock.release();
  }
  return names;
}
