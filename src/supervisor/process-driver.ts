import type { Clock } from "../base/clock.ts";
import { describeError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { isAlive, type ProcessIdentity } from "../base/process-identity.ts";
import { keepLogsBounded } from "./bounded-log.ts";
import type { Driver, ProcessExit, ProcessHandle } from "./driver.ts";
import { inheritedEnvironment } from "./inherited-environment.ts";
import { addressVariable, findMarked, killAll } from "./leftovers.ts";
import { endGroup, launchDetached, signalGroup } from "./process-group.ts";
import type { ProcessSpec } from "./process-spec.ts";
import {
  makeDirectories,
  type ProcessDirectories,
  processFiles,
  type RunRecord,
  readAddress,
  readRunRecords,
  removeRunFiles,
  writeRunRecord,
} from "./run-file.ts";

/** How often an adopted process is looked at: it is no child, so its end is no event. */
const adoptedPollMs = 500;

export interface ProcessDriverOptions {
  /** For run and address files, and for the output; as in `DataPaths`. Made when missing. */
  readonly directories: ProcessDirectories;
  /** That of Nexus itself; processes get `inheritedEnvironment` of it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What the driver knows of a process beyond its handle. */
interface Held {
  readonly identity: ProcessIdentity;
  /** Of a child of this process; undefined for an adopted one. */
  readonly exit: Promise<ProcessExit> | undefined;
}

/**
 * Runs processes of this machine. Each is the leader of a session of its own, with its output appended to a file, so
 * that neither the end of Nexus nor a closed terminal reaches it; its run file lets the next Nexus take it over. A
 * process is its group: the group gets the signals, and what the leader leaves behind in it is killed when it ends.
 */
export function createProcessDriver(options: ProcessDriverOptions): Driver {
  const { directories, clock, log } = options;
  const inherited = inheritedEnvironment(options.environment);
  const held = new Map<string, Held>();
  const filesOf = (name: string) => processFiles(directories, name);
  let stopBounding = () => {};
  let isClosed = false;

  const hold = (record: RunRecord, exit: Promise<ProcessExit> | undefined): ProcessHandle => {
    const { name, pid, startTime, startedAt, specDigest, stopGraceMs, logFile } = record;
    const id = `${pid}@${startTime}`;
    held.set(id, { identity: { pid, startTime }, exit });
    return { name, id, pid, specDigest, stopGraceMs, startedAt, isAdopted: exit === undefined, logFile };
  };

  return {
    async open() {
      makeDirectories(directories);
      stopBounding = keepLogsBounded({ directory: directories.logs, clock, log });
      const records = readRunRecords(directories.run);
      for (const { name } of records.filter((record) => !isAlive(record))) removeRunFiles(filesOf(name), log);
      const alive = records.filter(isAlive);
      await endUnrecorded(directories.run, alive, clock, log);
      return alive.map((record) => hold(record, undefined));
    },
    async spawn(spec, digest) {
      const files = filesOf(spec.name);
      removeRunFiles(files, log);
      const env = { ...inherited, ...spec.env, ...spec.envAtStart, [addressVariable]: files.addressFile };
      const { identity, exit } = await launchDetached({ ...spec, env }, files.logFile, log);
      const record = toRecord(spec, identity, { digest, logFile: files.logFile, startedAt: clock.now() });
      keepRecord(files.runFile, record, log);
      return hold(record, exit);
    },
    watch({ id, name }, onExit) {
      const known = held.get(id);
      if (known === undefined) return;
      const exit = known.exit ?? pollExit(known.identity, clock, () => isClosed);
      exit.then(
        (how) => {
          endGroup(known.identity);
          removeRunFiles(filesOf(name), log);
          held.delete(id);
          onExit(how);
        },
        () => {},
      );
    },
    signal({ id, pid }, signal) {
      const known = held.get(id);
      if (known !== undefined && isAlive(known.identity)) signalGroup(pid, signal);
    },
    address: ({ name }) => readAddress(filesOf(name).addressFile),
    close() {
      isClosed = true;
      stopBounding();
    },
  };
}

/**
 * Kills what earlier supervisors started here and no live record speaks of: a process whose parent was killed before it
 * could write the record, and descendants of one that ended while there was no parent. Both would hold ports and memory.
 */
async function endUnrecorded(
  runDirectory: string,
  alive: readonly RunRecord[],
  clock: Clock,
  log: Logger,
): Promise<void> {
  const recorded = new Set(alive.map(({ name }) => name));
  const marked = findMarked(runDirectory).filter(({ name }) => !recorded.has(name));
  const unrecorded = marked.map(({ identity }) => identity);
  if (unrecorded.length === 0) return;
  log.warn({ pids: unrecorded.map(({ pid }) => pid) }, "ending processes that an earlier Nexus left without a record");
  await killAll(unrecorded, clock);
}

function keepRecord(runFile: string, record: RunRecord, log: Logger): void {
  try {
    writeRunRecord(runFile, record);
  } catch (error) {
    // It works all the same, and better so than not at all; but the next Nexus can only end it.
    log.error({ process: record.name, error: describeError(error) }, "has no run file and cannot be adopted");
  }
}

function toRecord(
  { name, stopGraceMs }: ProcessSpec,
  { pid, startTime }: ProcessIdentity,
  rest: { digest: string; logFile: string; startedAt: number },
): RunRecord {
  const { digest: specDigest, logFile, startedAt } = rest;
  return { version: 1, name, pid, startTime, startedAt, specDigest, stopGraceMs, logFile };
}

/** Resolves once the process has gone; never, when `isOver` comes first. */
function pollExit(identity: ProcessIdentity, clock: Clock, isOver: () => boolean): Promise<ProcessExit> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (isOver()) return;
      if (isAlive(identity)) clock.after(adoptedPollMs, look);
      else resolve({ code: null, signal: null });
    };
    look();
  });
}
