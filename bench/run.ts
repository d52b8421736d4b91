import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Bench, Book, type Contestant, compare, enter } from "./contest.ts";
import { type Flags, readFlags, usage } from "./flags.ts";
import { needDebian } from "./gateways/debian.ts";
import { gateways } from "./gateways/index.ts";
import { judge } from "./goals.ts";
import { loads } from "./loads/index.ts";
import { type Cores, describeCommit, describeMachine, shareCores } from "./machine.ts";
import { run, type Started, start, stopAll } from "./processes.ts";
import { type PartResult, type Results, type Row, toRatios } from "./results.ts";
import { measurePart, measureStart, measureWorkers, soak } from "./special.ts";
import { insertResults } from "./table.ts";

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** A quick run begins nothing that it couldn't end by then, and is ended a little later whatever it does. */
const quickSeconds = 280;
/** Of that, the part before the soak and what comes after it. */
const quickLoadSeconds = 190;
const quickEndMs = 295_000;
const partMs = 180_000;
const fullEndMs = 3 * 3_600_000;
/** What takes longer than this to start is started once. */
const slowStartMs = 5_000;

function say(text: string): void {
  const seconds = (performance.now() / 1_000).toFixed(0);
  process.stderr.write(`${seconds.padStart(5)} s  ${text}\n`);
}

function hasTimeUntil(flags: Flags, limit: number): (seconds: number) => boolean {
  return (seconds) => !flags.quick || performance.now() / 1_000 + seconds < limit;
}

async function startMock(directory: string, cores: Cores): Promise<{ mock: Started; upstreamPort: number }> {
  const logFile = join(directory, "mock.log");
  const mock = start({ command: [process.execPath, here("mock-upstream.ts")], cores: cores.mock, logFile });
  for (let turn = 0; turn < 500 && !mock.hasEnded(); turn++) {
    const line = /^\{.*\}$/m.exec(mock.tail())?.[0];
    if (line !== undefined) return { mock, upstreamPort: (JSON.parse(line) as { port: number }).port };
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`the mock upstream didn't start: ${mock.tail()}`);
}

/** Starts of every gateway: the one that is running counts as the first. */
async function compareStarts(contestants: readonly Contestant[], bench: Bench): Promise<Row[]> {
  const { directory, cores, signal, upstreamPort, flags } = bench;
  const book = new Book("start", bench);
  const place = { directory, cores: cores.gateway, upstreamPort, workers: 1, signal };
  for (const { kind, running, startMs } of contestants) {
    if (running.process === undefined) continue;
    const rounds = startMs > slowStartMs ? 1 : flags.rounds;
    await book.note(kind, "start", async () => ({ start: { p50: startMs * 1_000 } }));
    for (let round = 2; round <= rounds; round++) {
      await book.note(kind, "start", async () => ({ start: await measureStart(kind, place) }));
    }
  }
  return book.rows();
}

/** Two workers on two cores: where there are no more, the load shares them. */
async function compareWorkers(contestants: readonly Contestant[], mock: Started, bench: Bench): Promise<Row[]> {
  const { directory, signal, upstreamPort, flags } = bench;
  const workers = 2;
  const cores = shareCores(workers);
  if (cores.gateway.length < workers) return [];
  const book = new Book("workers", bench);
  await pin(mock, cores.mock);
  const place = { directory, cores: cores.gateway, upstreamPort, workers, signal };
  const load = { directory, cores, signal, seconds: flags.seconds };
  for (let round = 1; round <= flags.rounds; round++) {
    for (const { kind } of contestants.filter((contestant) => contestant.kind.hasWorkers)) {
      if (!bench.hasTime(flags.seconds + 6)) continue;
      const what = `two workers, round ${round} of ${flags.rounds}`;
      await book.note(kind, what, async () => ({ workers: await measureWorkers(kind, place, load) }));
    }
  }
  await pin(mock, bench.cores.mock);
  return book.rows();
}

async function pin(started: Started, cores: readonly number[]): Promise<void> {
  await run(["taskset", "--all-tasks", "--cpu-list", "--pid", cores.join(","), String(started.pid)], {
    timeoutMs: 5_000,
  });
}

async function compareMemory(contestants: readonly Contestant[], bench: Bench): Promise<Row[]> {
  const { directory, cores, signal, flags, hasTime } = bench;
  const book = new Book("soak", bench);
  const size = {
    requests: flags.soakRequests,
    streams: Math.ceil(flags.soakRequests / 100),
    secondsMax: flags.soakSeconds,
  };
  const load = { directory, cores, signal, seconds: flags.seconds };
  for (const { kind, running } of contestants) {
    if (running.process === undefined || !hasTime(flags.soakSeconds + 2 * flags.seconds)) continue;
    await book.note(kind, "soak", async () => ({ soak: await soak(running, load, size) }));
    running.process.trim();
  }
  return book.rows();
}

async function measureParts({ cores, signal, flags, hasTime }: Bench): Promise<PartResult[]> {
  const parts: PartResult[] = [];
  for (const part of ["routing", "registry"] as const) {
    if (!hasTime(10)) continue;
    say(`${part}, alone`);
    const timeoutMs = flags.quick ? Math.round(quickSeconds * 1_000 - performance.now()) : partMs;
    try {
      parts.push(...(await measurePart(part, { cores: cores.gateway, signal, timeoutMs })));
    } catch (error) {
      signal.throwIfAborted();
      say(`${part} wasn't measured: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return parts;
}

async function measureAll(flags: Flags, directory: string, signal: AbortSignal): Promise<Results> {
  const cores = shareCores(1);
  await needDebian("wrk", "wrk", { mayInstall: flags.mayInstall, isQuick: flags.quick, signal });
  const { mock, upstreamPort } = await startMock(directory, cores);
  const bench: Bench = {
    flags,
    directory,
    cores,
    signal,
    upstreamPort,
    say,
    hasTime: hasTimeUntil(flags, quickSeconds),
  };
  const isWanted = (name: string) => flags.loads?.includes(name) ?? true;
  const entries = [];
  for (const kind of gateways.filter(({ name }) => flags.only?.includes(name) ?? true)) {
    entries.push(await enter(kind, bench));
  }
  const contestants = entries.map(({ entered }) => entered).filter((entered) => entered !== undefined);
  const early: Bench = { ...bench, hasTime: hasTimeUntil(flags, quickLoadSeconds) };
  const chosen = loads.filter(({ name }) => isWanted(name));
  const rows = await compare(chosen, contestants, early);
  if (isWanted("workers")) rows.push(...(await compareWorkers(contestants, mock, bench)));
  if (isWanted("start")) rows.push(...(await compareStarts(contestants, bench)));
  if (isWanted("soak")) rows.push(...(await compareMemory(contestants, bench)));
  const results = entries.map(({ result }) => result);
  const parts = isWanted("parts") ? await measureParts(bench) : [];
  return {
    measured_at: new Date().toISOString(),
    quick: flags.quick,
    commit: await describeCommit(),
    node: process.version,
    machine: describeMachine(),
    gateways: results,
    rows,
    ratios: toRatios(rows),
    parts,
    goals: judge({ rows, parts, gateways: results }),
  };
}

/** The whole run goes into the repository, with its table; a part of one is for whoever asked for it. */
function write(results: Results, { only, loads: chosen, output }: Flags): void {
  const isWhole = only === undefined && chosen === undefined;
  const file = output ?? here(isWhole ? "results.json" : "results.local.json");
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
  say(`written to ${file}`);
  const page = here("../docs/reference/performance.md");
  if (isWhole && output === undefined && existsSync(page)) {
    writeFileSync(page, insertResults(readFileSync(page, "utf8"), results));
    say(`written to ${page}`);
  }
  for (const { id, goal, measured, met } of results.goals) {
    if (measured !== "not measured")
      say(`${id} ${met === null ? "in part" : met ? "met" : "NOT met"}: ${goal}. ${measured}`);
  }
}

async function main(): Promise<void> {
  const flags = readFlags(process.argv.slice(2));
  if (flags === "help") return void process.stdout.write(usage);
  if (process.platform !== "linux") throw new Error("the benchmarks read /proc and pin cores: they run on Linux only");
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interrupt.abort());
  // Whoever waits for one of them to answer learns of it at once.
  interrupt.signal.addEventListener("abort", () => void stopAll());
  const watchdog = setTimeout(() => interrupt.abort(), flags.quick ? quickEndMs : fullEndMs);
  const directory = mkdtempSync(join(tmpdir(), "nexus-bench-"));
  try {
    write(await measureAll(flags, directory, interrupt.signal), flags);
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    say("interrupted: nothing is written");
    process.exitCode = 130;
  } finally {
    clearTimeout(watchdog);
    await stopAll();
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();
