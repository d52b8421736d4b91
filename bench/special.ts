import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setInterval as every } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { GatewayKind, Place, RunningGateway } from "./gateways/gateway.ts";
import { closedLoop, type LoadPlace } from "./loads/load.ts";
import { memoryMegabytes, type RunOptions, run } from "./processes.ts";
import type { Figures, PartResult } from "./results.ts";
import { median } from "./statistics.ts";

/** What isn't a load: a gateway's start, its memory, its workers, and the parts of Nexus that are measured alone. */
let started = 0;

/** How long a gateway takes from nothing to ready. Starts another one beside it and stops it again. */
export async function measureStart(kind: GatewayKind, place: Place): Promise<Figures> {
  const gateway = await startAnother(kind, place);
  const startedMs = gateway.process === undefined ? 0 : performance.now() - gateway.process.startedAt;
  await gateway.process?.stop();
  return { p50: startedMs * 1_000 };
}

/** Half of the requests warm each of two workers. */
const warmingSeconds = 4;

/** Small chat requests through so many workers on so many cores. */
export async function measureWorkers(kind: GatewayKind, place: Place, load: LoadPlace): Promise<Figures> {
  const gateway = await startAnother(kind, place);
  try {
    // One worker is measured warm, too.
    await chat(gateway, { ...load, seconds: warmingSeconds });
    return await chat(gateway, load);
  } finally {
    await gateway.process?.stop();
  }
}

async function startAnother(kind: GatewayKind, place: Place): Promise<RunningGateway> {
  const directory = join(place.directory, `${kind.name}-${++started}`);
  mkdirSync(directory, { mode: 0o700 });
  return await kind.start({ ...place, directory });
}

const many = { body: "chat", connections: 32 } as const;
const chatLoad = closedLoop({ ...many, name: "soak", title: "soak" });
const streamLoad = closedLoop({ ...many, name: "soak", title: "soak", body: "stream" });

async function chat(gateway: RunningGateway, load: LoadPlace): Promise<Figures> {
  return (await chatLoad.run(gateway, load)).soak ?? {};
}

export interface SoakSize {
  readonly requests: number;
  readonly streams: number;
  /** All of it ends by then; the row says how much there was. */
  readonly secondsMax: number;
}

const sampleEveryMs = 500;

/** Memory after so many streams and requests, and how much it grew over the second half of the requests. */
export async function soak(gateway: RunningGateway, load: LoadPlace, size: SoakSize): Promise<Figures> {
  const { process } = gateway;
  if (process === undefined) return {};
  const deadline = performance.now() + size.secondsMax * 1_000;
  const streams = await repeat({ ...load, seconds: 2 }, streamLoad.run, { gateway, amount: size.streams, deadline });
  const samples: number[] = [];
  const watching = new AbortController();
  const watched = (async () => {
    for await (const _ of every(sampleEveryMs, undefined, { signal: watching.signal })) {
      samples.push(memoryMegabytes(process.pid).largest);
      process.trim();
    }
  })().catch(() => {});
  const seconds = Math.min(10, load.seconds);
  const chats = await repeat({ ...load, seconds }, chatLoad.run, { gateway, amount: size.requests, deadline });
  watching.abort();
  await watched;
  const { largest, total } = memoryMegabytes(process.pid);
  const requests = streams.requests + chats.requests;
  const errors = streams.errors + chats.errors;
  return { rss: largest, rssTotal: total, ...growthOf(samples), requests, errors };
}

/** Nothing of a short soak: it would be noise. */
const samplesMin = 20;

/** The last tenth against the tenth after the middle. */
function growthOf(samples: readonly number[]): Pick<Figures, "growth"> {
  if (samples.length < samplesMin) return {};
  const [tenth, middle] = [Math.floor(samples.length / 10), Math.floor(samples.length / 2)];
  return { growth: median(samples.slice(-tenth)) / median(samples.slice(middle, middle + tenth)) - 1 };
}

interface Repeated {
  readonly gateway: RunningGateway;
  readonly amount: number;
  readonly deadline: number;
}

/** Runs a load until there were so many requests or time is up. */
async function repeat(place: LoadPlace, run: typeof chatLoad.run, { gateway, amount, deadline }: Repeated) {
  let [requests, errors] = [0, 0];
  do {
    const { rps = 0, errors: failed = 0 } = (await run(gateway, place)).soak ?? {};
    requests += Math.round(rps * place.seconds);
    errors += failed;
  } while (requests < amount && performance.now() < deadline);
  return { requests, errors };
}

/** Runs the benchmark of a part of Nexus in a process of its own. */
export async function measurePart(
  part: "routing" | "registry",
  place: Required<Pick<RunOptions, "cores" | "signal" | "timeoutMs">>,
) {
  const file = fileURLToPath(new URL(`parts/${part}.ts`, import.meta.url));
  const output = await run([process.execPath, file], place);
  return JSON.parse(output) as PartResult[];
}
