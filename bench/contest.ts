import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkAnswers } from "./check-answer.ts";
import type { Flags } from "./flags.ts";
import type { GatewayKind, RunningGateway } from "./gateways/gateway.ts";
import { closedLoop, type Load } from "./loads/load.ts";
import type { Cores } from "./machine.ts";
import { type Figures, type GatewayResult, type Row, toRow } from "./results.ts";

/** A run of the benchmarks. */
export interface Bench {
  readonly flags: Flags;
  /** Removed at the end. */
  readonly directory: string;
  readonly cores: Cores;
  readonly signal: AbortSignal;
  readonly upstreamPort: number;
  /** Whether there is time for something that takes so many seconds. */
  readonly hasTime: (seconds: number) => boolean;
  readonly say: (text: string) => void;
}

/** A gateway that takes part. */
export interface Contestant {
  readonly kind: GatewayKind;
  readonly running: RunningGateway;
  readonly startMs: number;
}

/**
 * Before anything counts: interpreters compile what they run often, and pools fill. V8 needs some 100,000 requests until
 * nothing gets faster any more; a gateway that runs for days has long had them.
 */
const warming = closedLoop({ name: "warm", title: "warming up", body: "chat", connections: 8 });
const warmingSeconds = { quick: 4, full: 15 };
/** To start `taskset`, wrk or a generator, and to end it. */
const overheadSeconds = 0.7;

/** Starts a gateway and sees that it answers. Says why not when it can't be measured. */
export async function enter(kind: GatewayKind, bench: Bench): Promise<{ result: GatewayResult; entered?: Contestant }> {
  const { signal, upstreamPort, cores, flags, say } = bench;
  const { name, title, features } = kind;
  let version = "";
  try {
    version = await kind.prepare({ mayInstall: flags.mayInstall, isQuick: flags.quick, signal });
    const directory = join(bench.directory, name);
    mkdirSync(directory, { mode: 0o700 });
    const running = await kind.start({ directory, cores: cores.gateway, upstreamPort, workers: 1, signal });
    const startMs = performance.now() - (running.process?.startedAt ?? performance.now());
    await checkAnswers(running);
    await warming.run(running, {
      directory: bench.directory,
      cores,
      signal,
      seconds: flags.quick ? warmingSeconds.quick : warmingSeconds.full,
    });
    say(`${title} ${version} is ready`);
    return { result: { name, title, version, features, skipped: null }, entered: { kind, running, startMs } };
  } catch (error) {
    signal.throwIfAborted();
    const skipped = reasonOf(error);
    say(`${title} is left out: ${skipped}`);
    return { result: { name, title, version, features, skipped } };
  }
}

/**
 * Every round is every load, and in every load every gateway in turn: what else the machine does hits all alike, and
 * when time runs out there is something of everything.
 */
export async function compare(
  loads: readonly Load[],
  contestants: readonly Contestant[],
  bench: Bench,
): Promise<Row[]> {
  const { directory, cores, signal, flags, hasTime } = bench;
  const place = { directory, cores, signal, seconds: flags.seconds };
  const books = loads.map((load) => ({ load, book: new Book(load.name, bench) }));
  for (let round = 1; round <= flags.rounds; round++) {
    for (const { load, book } of books) {
      if (!hasTime(contestants.length * (flags.seconds + overheadSeconds))) continue;
      for (const { kind, running } of contestants) {
        await book.note(kind, `${load.title}, round ${round} of ${flags.rounds}`, () => load.run(running, place));
        await recover(running);
        running.process?.trim();
      }
    }
  }
  return books.flatMap(({ book }) => book.rows());
}

/** What a gateway couldn't do in time isn't to count against it in the next load. Most answer at once. */
async function recover(running: RunningGateway): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    const isWell = await checkAnswers(running).then(
      () => true,
      () => false,
    );
    if (isWell || running.process?.hasEnded()) return;
  }
}

/** The rounds of a load as they come in. */
export class Book {
  readonly #load: string;
  readonly #bench: Bench;
  readonly #figures = new Map<string, { gateway: string; row: string; rounds: Figures[] }>();
  readonly #reasons = new Map<string, string>();

  constructor(load: string, bench: Bench) {
    this.#load = load;
    this.#bench = bench;
  }

  /** Runs a round and writes it down, or why there is none; then there are no further ones of this gateway. */
  async note(kind: GatewayKind, what: string, run: () => Promise<Readonly<Record<string, Figures>>>): Promise<void> {
    const { signal, say } = this.#bench;
    if (this.#reasons.has(kind.name)) return;
    try {
      for (const [row, figures] of Object.entries(await run())) {
        this.#roundsOf(kind.name, row).push(figures);
        say(`${what}: ${kind.title}  ${describe(row, figures)}`);
      }
    } catch (error) {
      signal.throwIfAborted();
      this.#reasons.set(kind.name, reasonOf(error));
      say(`${what}: ${kind.title} ${reasonOf(error)}`);
    }
  }

  rows(): Row[] {
    const measured = [...this.#figures.values()].map(({ gateway, row, rounds }) => toRow(gateway, row, rounds));
    // A gateway that failed in a later round has figures of the earlier ones: then those count, and the reason is said.
    const failed = [...this.#reasons].filter(([gateway]) => !measured.some((row) => row.gateway === gateway));
    return [...measured, ...failed.map(([gateway, reason]) => toRow(gateway, this.#load, [], reason))];
  }

  #roundsOf(gateway: string, row: string): Figures[] {
    const key = `${gateway} ${row}`;
    const known = this.#figures.get(key) ?? { gateway, row, rounds: [] };
    this.#figures.set(key, known);
    return known.rounds;
  }
}

const root = fileURLToPath(new URL("..", import.meta.url));

/** Why something failed, without what is different on every machine: where the clone is, and whom its tools ask. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll(root, "").replaceAll(/https?:\/\/(?!127\.0\.0\.1)[^\s:]+/g, "the registry");
}

function describe(row: string, figures: Figures): string {
  const { rps, p50, p99, cpuUsPerRequest, rss, growth, errors = 0 } = figures;
  const parts = [
    row,
    rps === undefined ? "" : `${rps.toFixed(0)}/s`,
    p50 === undefined ? "" : `p50 ${p50.toFixed(0)} us`,
    p99 === undefined ? "" : `p99 ${p99.toFixed(0)} us`,
    cpuUsPerRequest === undefined ? "" : `CPU ${cpuUsPerRequest.toFixed(0)} us`,
    rss === undefined ? "" : `${rss.toFixed(0)} MB`,
    growth === undefined ? "" : `growth ${(growth * 100).toFixed(1)} %`,
    errors === 0 ? "" : `${errors} errors`,
  ];
  return parts.filter((part) => part !== "").join("  ");
}
