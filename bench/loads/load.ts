import type { RunningGateway } from "../gateways/gateway.ts";
import type { Cores } from "../machine.ts";
import { cpuMicroseconds } from "../processes.ts";
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
      const cpuBefore = cpuOf(gateway);
      const sample = await runWrk({ ...request, connections, seconds: place.seconds }, { ...place, cores: cores.load });
      const { requests, seconds, p50, p99, errors } = sample;
      if (requests === 0) throw new Error("not one request was answered");
      const cpuUsPerRequest = (cpuOf(gateway) - cpuBefore) / requests;
      const cpu = gateway.process === undefined ? {} : { cpuUsPerRequest };
      return { [name]: { rps: (requests - errors) / seconds, p50, p99, ...cpu, errors } };
    },
  };
}

export function cpuOf(gateway: RunningGateway): number {
  return gateway.process === undefined ? 0 : cpuMicroseconds(gateway.process.pid);
}
