import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkAnswers } from "./check-answer.ts";
import { type Flags, readFlags, usage } from "./flags.ts";
import type { GatewayKind, RunningGateway } from "./gateways/gateway.ts";
import { gateways } from "./gateways/index.ts";
import { loads } from "./loads/index.ts";
import type { Load } from "./loads/load.ts";
import { type Cores, describeCommit, describeMachine, shareCores } from "./machine.ts";
import { start, stopAll } from "./processes.ts";
import { type Figures, type GatewayResult, type Results, type Row, toRatios, toRow } from "./results.ts";

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

interface Bench {
  readonly flags: Flags;
  readonly directory: string;
  readonly cores: Cores;
  readonly signal: AbortSignal;
  readonly upstreamPort: number;
}

interface Contestant {
  readonly kind: GatewayKind;
  readonly running: RunningGateway;
}

const startedAt = performance.now();

function say(text: string): void {
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0).padStart(4);
  process.stderr.write(`${seconds} s  ${text}\n`);
}

async function startMock(directory: string, cores: Cores): Promise<number> {
  const logFile = join(directory, "mock.log");
  const mock = start({ command: [process.execPath, here("mock-upstream.ts")], cores: cores.mock, logFile });
  for (let turn = 0; turn < 500 && !mock.hasEnded(); turn++) {
    const line = /^\{.*\}$/m.exec(mock.tail())?.[0];
    if (line !== undefined) return (JSON.parse(line) as { port: number }).port;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`the mock upstream didn't start: ${mock.tail()}`);
}

/** Starts a gateway and sees that it answers. Says why not when it can't be measured. */
async function enter(kind: GatewayKind, bench: Bench): Promise<{ result: GatewayResult; entered?: Contestant }> {
  const { signal, upstreamPort } = bench;
  const { name, title, features } = kind;
  let version = "";
  try {
    version = await kind.prepare({ mayInstall: bench.flags.mayInstall, signal });
    const directory = join(bench.directory, name);
    mkdirSync(directory, { mode: 0o700 });
    const running = await kind.start({ directory, cores: bench.cores.gateway, upstreamPort, workers: 1, signal });
    await checkAnswers(running);
    say(`${title} ${version} is ready`);
    return { result: { name, title, version, features, skipped: null }, entered: { kind, running } };
  } catch (error) {
    signal.throwIfAborted();
    const skipped = error instanceof Error ? error.message : String(error);
    say(`${title} is left out: ${skipped}`);
    return { result: { name, title, version, features, skipped } };
  }
}

/** One load: each round asks every gateway in turn, so that what else the machine does hits all alike. */
async function compare(load: Load, contestants: readonly Contestant[], bench: Bench): Promise<Row[]> {
  const { directory, cores, signal, flags } = bench;
  const figures = new Map<string, Figures[]>();
  const reasons = new Map<string, string>();
  for (let round = 1; round <= flags.rounds; round++) {
    for (const { kind, running } of contestants) {
      if (reasons.has(kind.name)) continue;
      try {
        const measured = await load.run(running, { directory, cores, signal, seconds: flags.seconds });
        for (const [row, one] of Object.entries(measured)) {
          const key = `${row} ${kind.name}`;
          figures.set(key, [...(figures.get(key) ?? []), one]);
          say(`${load.title}, round ${round} of ${flags.rounds}: ${kind.title} ${describe(one)}`);
        }
      } catch (error) {
        signal.throwIfAborted();
        reasons.set(kind.name, error instanceof Error ? error.message : String(error));
      }
      running.process?.trim();
    }
  }
  return [
    ...[...figures].map(([key, rounds]) => {
      const [row = "", gateway = ""] = key.split(" ");
      return toRow(gateway, row, rounds);
    }),
    ...[...reasons].map(([gateway, reason]) => toRow(gateway, load.name, [], reason)),
  ];
}

function describe({ rps, p50, p99, cpuUsPerRequest, errors = 0 }: Figures): string {
  const parts = [
    rps === undefined ? "" : `${rps.toFixed(0)}/s`,
    p50 === undefined ? "" : `p50 ${p50.toFixed(0)} us`,
    p99 === undefined ? "" : `p99 ${p99.toFixed(0)} us`,
    cpuUsPerRequest === undefined ? "" : `CPU ${cpuUsPerRequest.toFixed(0)} us`,
    errors === 0 ? "" : `${errors} errors`,
  ];
  return parts.filter((part) => part !== "").join("  ");
}

async function bench(flags: Flags, directory: string, signal: AbortSignal): Promise<Results> {
  const cores = shareCores(1);
  const upstreamPort = await startMock(directory, cores);
  const place: Bench = { flags, directory, cores, signal, upstreamPort };
  const chosen = gateways.filter(({ name }) => flags.only?.includes(name) ?? true);
  const entries = [];
  for (const kind of chosen) entries.push(await enter(kind, place));
  const contestants = entries.map(({ entered }) => entered).filter((entered) => entered !== undefined);
  const rows: Row[] = [];
  for (const load of loads.filter(({ name }) => flags.loads?.includes(name) ?? true)) {
    rows.push(...(await compare(load, contestants, place)));
  }
  return {
    measured_at: new Date().toISOString(),
    quick: flags.quick,
    commit: await describeCommit(),
    node: process.version,
    machine: describeMachine(),
    gateways: entries.map(({ result }) => result),
    rows,
    ratios: toRatios(rows),
    parts: [],
    goals: [],
  };
}

async function main(): Promise<void> {
  const flags = readFlags(process.argv.slice(2));
  if (flags === "help") return void process.stdout.write(usage);
  if (process.platform !== "linux") throw new Error("the benchmarks read /proc and pin cores: they run on Linux only");
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => interrupt.abort());
  const directory = mkdtempSync(join(tmpdir(), "nexus-bench-"));
  try {
    const results = await bench(flags, directory, interrupt.signal);
    const isWhole = flags.only === undefined && flags.loads === undefined;
    const output = flags.output ?? here(isWhole ? "results.json" : "results.local.json");
    writeFileSync(output, `${JSON.stringify(results, null, 2)}\n`);
    say(`written to ${output}`);
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    process.exitCode = 130;
  } finally {
    await stopAll();
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();
