import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { percentile } from "./statistics.ts";
import { chunksPerStream, sentAtPattern } from "./wire.ts";

/**
 * The loads that wrk can't make: `node bench/load-generator.ts JOB`, a JSON text. Prints one line of JSON. It reads no
 * more of an answer than where it ends.
 */
export interface GeneratorJob {
  readonly kind: "rate" | "paced";
  readonly port: number;
  /** A file with the request as it goes over the wire. */
  readonly requestFile: string;
  readonly seconds: number;
  /** Requests a second, or streams at once. */
  readonly amount: number;
}

export interface Percentiles {
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
}

export interface GeneratorReport {
  readonly requests: number;
  readonly errors: number;
  /** Of `rate`: from a request to the last byte of its answer. Of `paced`: to the first event. */
  readonly latency: Percentiles;
  /** Of `paced`: from the mock's sending of an event to its arrival here. */
  readonly lag: Percentiles;
}

/** Opened before the load begins: what a service's clients keep open. More are opened when all of these wait. */
const warmConnections = 32;
const connectionsMax = 1_024;
/** What isn't answered by then is an error. */
const patienceMs = 5_000;

const bodyEnd = "\r\n0\r\n\r\n";

/** Whether the answer that begins `text` is all there. */
function isWhole(text: string): boolean {
  const bodyAt = text.indexOf("\r\n\r\n") + 4;
  if (bodyAt === 3) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, bodyAt))?.[1];
  return length === undefined ? text.endsWith(bodyEnd) : text.length >= bodyAt + Number(length);
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true }, () => resolve(socket));
    socket.once("error", reject);
  });
}

/** Sends so many requests a second whether or not earlier ones are answered. */
async function sendAtRate({ port, seconds, amount }: GeneratorJob, request: Buffer): Promise<GeneratorReport> {
  const latencies: number[] = [];
  const idle: Socket[] = [];
  let [sent, errors, connections] = [0, 0, 0];

  const add = async (): Promise<Socket> => {
    connections++;
    const socket = await open(port);
    socket.on("close", () => connections--);
    return socket;
  };
  const exchange = async (): Promise<void> => {
    const startedAt = performance.now();
    const socket = idle.pop() ?? (connections < connectionsMax ? await add() : undefined);
    if (socket === undefined || !(await answered(socket, request))) {
      errors++;
      socket?.destroy();
      return;
    }
    latencies.push((performance.now() - startedAt) * 1_000);
    idle.push(socket);
  };

  idle.push(...(await Promise.all(Array.from({ length: warmConnections }, add))));
  const startedAt = performance.now();
  const underWay = new Set<Promise<void>>();
  while (performance.now() - startedAt < seconds * 1_000) {
    const due = Math.floor(((performance.now() - startedAt) / 1_000) * amount);
    for (; sent < due; sent++) {
      const one = exchange().catch(() => void errors++);
      underWay.add(one);
      void one.then(() => underWay.delete(one));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(underWay);
  for (const socket of idle) socket.destroy();
  const latency = { p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) };
  return { requests: latencies.length, errors, latency, lag: latency };
}

/** Sends a request and resolves to whether a whole answer with status 200 came. */
function answered(socket: Socket, request: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    let text = "";
    const settle = (isGood: boolean) => {
      clearTimeout(patience);
      socket.removeAllListeners("data").off("close", fail).off("error", fail);
      resolve(isGood);
    };
    const fail = () => settle(false);
    const patience = setTimeout(fail, patienceMs);
    socket.on("data", (piece: Buffer) => {
      text += piece.toString("latin1");
      if (isWhole(text)) settle(text.startsWith("HTTP/1.1 200"));
    });
    socket.once("close", fail).once("error", fail);
    socket.write(request);
  });
}

/** Keeps so many streams open, each from a model that takes its time, and notes when every event arrives. */
async function followStreams({ port, seconds, amount }: GeneratorJob, request: Buffer): Promise<GeneratorReport> {
  const [firsts, lags]: [number[], number[]] = [[], []];
  let [streams, errors] = [0, 0];
  const startedAt = performance.now();
  const client = async (place: number): Promise<void> => {
    // Clients don't come all at once.
    await new Promise((resolve) => setTimeout(resolve, (place * 500) / amount));
    while (performance.now() - startedAt < seconds * 1_000) {
      const socket = await open(port);
      const isGood = await followOne(socket, request, { firsts, lags });
      socket.destroy();
      if (isGood) streams++;
      else errors++;
    }
  };
  await Promise.all(Array.from({ length: amount }, (_, place) => client(place).catch(() => void errors++)));
  return {
    requests: streams,
    errors,
    latency: { p50: percentile(firsts, 0.5), p99: percentile(firsts, 0.99) },
    lag: { p50: percentile(lags, 0.5), p99: percentile(lags, 0.99) },
  };
}

/** Resolves to whether the stream came to its end with every event in it. */
function followOne(socket: Socket, request: Buffer, into: { firsts: number[]; lags: number[] }): Promise<boolean> {
  return new Promise((resolve) => {
    const sentAt = performance.now();
    let [rest, events] = ["", 0];
    const settle = (isGood: boolean) => {
      clearTimeout(patience);
      resolve(isGood);
    };
    const patience = setTimeout(() => settle(false), patienceMs);
    socket.on("data", (piece: Buffer) => {
      const arrivedAt = Number(process.hrtime.bigint() / 1_000n);
      rest += piece.toString("latin1");
      let end = 0;
      for (const match of rest.matchAll(sentAtPattern)) {
        if (events === 0) into.firsts.push((performance.now() - sentAt) * 1_000);
        into.lags.push(arrivedAt - Number(match[1]));
        events++;
        end = match.index + match[0].length;
      }
      rest = rest.slice(end);
      if (rest.includes("data: [DONE]")) settle(events === chunksPerStream);
    });
    socket.once("close", () => settle(false)).once("error", () => settle(false));
    socket.write(request);
  });
}

if (import.meta.main) {
  const job = JSON.parse(process.argv[2] ?? "") as GeneratorJob;
  const request = readFileSync(job.requestFile);
  console.log(JSON.stringify(await (job.kind === "rate" ? sendAtRate(job, request) : followStreams(job, request))));
  // Nothing that is still open is of interest.
  process.exit();
}
