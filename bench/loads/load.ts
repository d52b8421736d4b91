import type { RunningGateway } from "../gateways/gateway.ts";
import type { Cores } from "../machine.ts";
import { cpuMicroseconds, memoryMegabytes } from "../processes.ts";
import type { Figures } from "../results.ts";
import { type BodyKind, requestBody } from "../wire.ts";
import { runWrk } from "../wrk.ts";

/** What a load may use. */
export interface LoadPlace {
  readonly directory: string;
  readonly cores: Cores;
  readonly seconds: number;
  readonly signal: AbortSignal;
}

/** A kind of traffic. One run of it is one round; its figures go to the rows that it names. */
export interface Load {
  readonly name: string;
  readonly title: string;
  readonly run: (gateway: RunningGateway, place: LoadPlace) => Promise<Readonly<Record<string, Figures>>>;
}

/** As many requests as go through, each connection one after the other. */
export function closedLoop(options: {
  readonly name: string;
  readonly title: string;
  readonly body: BodyKind;
  readonly connections: number;
}): Load {
  const { name, title, body, connections } = options;
  return {
    name,
    title,
    async run(gateway, { cores, ...place }) {
      const { port, path, headers } = gateway;
      const request = { port, path, headers, body: requestBody(body, gateway.model) };
      const cost = costOf(gateway);
      const sample = await runWrk({ ...request, connections, seconds: place.seconds }, { ...place, cores: cores.load });
      const { requests, seconds, p50, p99, errors } = sample;
      if (requests === 0) throw new Error("not one request was answered");
      return { [name]: { rps: (requests - errors) / seconds, p50, p99, ...cost(requests), errors } };
    },
  };
}

/** Begins to count what a gateway costs. The answer ends it: CPU time by request, and the memory it has by then. */
export function costOf({ process }: RunningGateway): (requests: number) => Figures {
  if (process === undefined) return () => ({});
  const before = cpuMicroseconds(process.pid);
  return (requests) => {
    const { largest, total } = memoryMegabytes(process.pid);
    return { cpuUsPerRequest: (cpuMicroseconds(process.pid) - before) / requests, rss: largest, rssTotal: total };
  };
}
