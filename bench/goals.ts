import type { GatewayResult, Goal, PartResult, Row } from "./results.ts";

/** What is compared with the goals. */
export interface Measured {
  readonly rows: readonly Row[];
  readonly parts: readonly PartResult[];
  readonly gateways: readonly GatewayResult[];
}

type Judgement = Pick<Goal, "measured" | "met">;

/** A ratio with its bound: what was measured, and whether it keeps it. Null of what wasn't measured. */
interface Figure {
  readonly text: string;
  readonly met: boolean;
}

const notMeasured: Judgement = { measured: "not measured", met: null };
/** Bare proxies and no gateway at all are the limit, not peers. */
const limits: readonly string[] = ["direct", "nginx", "haproxy", "nexus"];

/** Says of every goal of speed whether this run met it. Names are those of `docs/reference/performance.md`. */
export function judge(measured: Measured): Goal[] {
  return [
    {
      id: "P1",
      goal: "small chat requests: at least 0.45 x nginx, 30 x Portkey, and ahead of every peer",
      ...judgeThroughput(measured),
    },
    {
      id: "P2",
      goal: "added at 500 requests/s: p50 at most 2 x, p99 at most 3 x what nginx adds; on one connection p50 at most 250 us",
      ...judgeLatency(measured),
    },
    {
      id: "P3",
      goal: "streams: at least 1.0 x nginx; first chunk at most 1 ms later (p50); chunk lag (p50) at most nginx's",
      ...judgeStreams(measured),
    },
    { id: "P4", goal: "200 KB prompts: at least 0.35 x nginx", ...judgePrompts(measured) },
    {
      id: "P5",
      goal: "after the soak: at most 100 MB a process, growth below 5 % over the second half",
      ...judgeMemory(measured),
    },
    {
      id: "P6",
      goal: "10,000 instances: planRoute p99 at most 100 us, one change at most 1 ms, a full snapshot at most 50 ms",
      ...judgeParts(measured),
    },
    { id: "P7", goal: "from start to ready: at most 500 ms", ...judgeStart(measured) },
    { id: "P8", goal: "two workers on two cores: at least 1.4 x one", ...judgeWorkers(measured) },
  ];
}

function together(figures: readonly (Figure | null)[]): Judgement {
  const known = figures.filter((figure) => figure !== null);
  if (known.length === 0) return notMeasured;
  const missed = known.some(({ met }) => !met);
  const met = missed ? false : known.length === figures.length ? true : null;
  return { measured: known.map(({ text }) => text).join("; "), met };
}

function rowOf({ rows }: Measured, gateway: string, load: string): Row | undefined {
  return rows.find((row) => row.gateway === gateway && row.load === load);
}

/** How many times the requests a second of another one. */
function times(measured: Measured, load: string, other: string, least: number): Figure | null {
  const [own, others] = [rowOf(measured, "nexus", load)?.rps, rowOf(measured, other, load)?.rps];
  if (own == null || others == null) return null;
  return { text: `${(own / others).toFixed(2)} x ${other}`, met: own / others >= least };
}

function judgeThroughput(measured: Measured): Judgement {
  const own = rowOf(measured, "nexus", "chat")?.rps ?? null;
  const peers = measured.rows.filter(
    ({ gateway, load, rps }) => load === "chat" && rps !== null && !limits.includes(gateway),
  );
  const ahead = peers.filter(({ rps }) => own !== null && rps !== null && own > rps).length;
  const place = { text: `ahead of ${ahead} of ${peers.length} peers`, met: ahead === peers.length };
  return together([
    times(measured, "chat", "nginx", 0.45),
    times(measured, "chat", "portkey", 30),
    own === null || peers.length === 0 ? null : place,
  ]);
}

/** What a gateway adds to a latency of the mock itself, in microseconds. */
function added(measured: Measured, gateway: string, load: string, which: "p50_us" | "p99_us"): number | null {
  const [through, direct] = [rowOf(measured, gateway, load)?.[which], rowOf(measured, "direct", load)?.[which]];
  return through == null || direct == null ? null : through - direct;
}

function addedTimes(measured: Measured, which: "p50_us" | "p99_us", most: number): Figure | null {
  const [own, others] = [added(measured, "nexus", "rate", which), added(measured, "nginx", "rate", which)];
  // Where the noise of the machine is larger than what nginx adds there is nothing to compare with.
  if (own === null || others === null || others <= 0) return null;
  const name = which.slice(0, 3);
  return { text: `${name} +${own.toFixed(0)} us (nginx +${others.toFixed(0)})`, met: own <= most * others };
}

function judgeLatency(measured: Measured): Judgement {
  const single = added(measured, "nexus", "single", "p50_us");
  return together([
    addedTimes(measured, "p50_us", 2),
    addedTimes(measured, "p99_us", 3),
    single === null ? null : { text: `one connection +${single.toFixed(0)} us`, met: single <= 250 },
  ]);
}

function judgeStreams(measured: Measured): Judgement {
  const first = added(measured, "nexus", "first_chunk", "p50_us");
  const [own, others] = ["nexus", "nginx"].map((name) => rowOf(measured, name, "chunk_lag")?.p50_us ?? null);
  const lag = own == null || others == null ? null : { text: `lag ${own} us (nginx ${others})`, met: own <= others };
  return together([
    times(measured, "stream", "nginx", 1),
    first === null ? null : { text: `first chunk +${(first / 1_000).toFixed(2)} ms`, met: first <= 1_000 },
    lag,
  ]);
}

function judgePrompts(measured: Measured): Judgement {
  return together([times(measured, "prompt", "nginx", 0.35)]);
}

function judgeMemory(measured: Measured): Judgement {
  const row = rowOf(measured, "nexus", "soak");
  if (row?.rss_mb == null) return notMeasured;
  const { growth, requests } = row;
  return together([
    { text: `${row.rss_mb.toFixed(0)} MB after ${requests} requests`, met: row.rss_mb <= 100 },
    growth === null ? null : { text: `growth ${(growth * 100).toFixed(1)} %`, met: growth < 0.05 },
  ]);
}

function judgeParts({ parts }: Measured): Judgement {
  const at = (what: string) => parts.find((part) => part.what.startsWith(what) && part.instances === 10_000);
  const bound = (what: string, which: "p50_ms" | "p99_ms", most: number): Figure | null => {
    const part = at(what);
    if (part === undefined) return null;
    return { text: `${what}: ${which.slice(0, 3)} ${part[which]} ms`, met: part[which] <= most };
  };
  return together([
    bound("planRoute, a model that every instance offers", "p99_ms", 0.1),
    bound("apply one change", "p50_ms", 1),
    bound("follow one change", "p50_ms", 1),
    bound("encode a full snapshot", "p50_ms", 50),
    bound("read a full snapshot, every record known", "p50_ms", 50),
  ]);
}

function judgeStart(measured: Measured): Judgement {
  const micros = rowOf(measured, "nexus", "start")?.p50_us;
  return micros == null
    ? notMeasured
    : together([{ text: `${(micros / 1_000).toFixed(0)} ms`, met: micros <= 500_000 }]);
}

function judgeWorkers(measured: Measured): Judgement {
  const [two, one] = [rowOf(measured, "nexus", "workers")?.rps, rowOf(measured, "nexus", "chat")?.rps];
  if (two == null || one == null) return notMeasured;
  return together([{ text: `${(two / one).toFixed(2)} x`, met: two / one >= 1.4 }]);
}
