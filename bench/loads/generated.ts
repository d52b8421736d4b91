import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RunningGateway } from "../gateways/gateway.ts";
import type { GeneratorJob, GeneratorReport } from "../load-generator.ts";
import { run } from "../processes.ts";
import { type BodyKind, requestBody } from "../wire.ts";
import { costOf, type Load, type LoadPlace } from "./load.ts";

const generator = fileURLToPath(new URL("../load-generator.ts", import.meta.url));

/** Low enough for every gateway but one; a busy fleet's traffic. */
const requestsPerSecond = 500;
const streamsAtOnce = 20;
/** Errors of so many answers: its latency isn't what it adds any more, but how long the queue is. */
const hopelessShare = 0.1;

/** Requests that come at their own pace: what a gateway adds while it isn't at its limit. */
export const rate: Load = {
  name: "rate",
  title: `${requestsPerSecond} requests/s`,
  async run(gateway, place) {
    const cost = costOf(gateway);
    const { requests, errors, latency } = await generate(gateway, place, {
      kind: "rate",
      body: "chat",
      amount: requestsPerSecond,
    });
    if (errors > requests * hopelessShare) throw new Error(`it can't keep up with ${requestsPerSecond} requests/s`);
    return { rate: { ...latency, ...cost(requests), rps: requests / place.seconds, errors } };
  },
};

/** Streams as models make them: the time to the first event, and how much later than sent each one arrives. */
export const paced: Load = {
  name: "paced",
  title: `${streamsAtOnce} streams of 100 tokens/s`,
  async run(gateway, place) {
    const report = await generate(gateway, place, { kind: "paced", body: "paced", amount: streamsAtOnce });
    const { requests, errors, latency, lag } = report;
    if (requests === 0) throw new Error("not one stream came to its end");
    return { first_chunk: { ...latency, errors }, chunk_lag: { ...lag, errors } };
  },
};

interface Generated {
  readonly kind: GeneratorJob["kind"];
  readonly body: BodyKind;
  readonly amount: number;
}

async function generate(gateway: RunningGateway, place: LoadPlace, load: Generated): Promise<GeneratorReport> {
  const body = requestBody(load.body, gateway.model);
  const headers = {
    host: "127.0.0.1",
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    ...gateway.headers,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const requestFile = join(place.directory, "request.http");
  writeFileSync(requestFile, `POST ${gateway.path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
  const { port } = gateway;
  const job: GeneratorJob = { port, requestFile, kind: load.kind, amount: load.amount, seconds: place.seconds };
  const output = await run([process.execPath, generator, JSON.stringify(job)], {
    cores: place.cores.load,
    timeoutMs: (place.seconds + 30) * 1_000,
    signal: place.signal,
  });
  return JSON.parse(output) as GeneratorReport;
}
