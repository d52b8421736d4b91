import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, start, untilReady } from "../processes.ts";
import { needDebian } from "./debian.ts";
import { freePort, type GatewayKind, logFile, type Place, plain } from "./gateway.ts";

function configuration(place: Place, port: number): string {
  return `global
  nbthread ${place.workers}
  maxconn 4096
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  http-reuse always
  option http-no-delay
frontend clients
  bind 127.0.0.1:${port}
  default_backend model
backend model
  server mock 127.0.0.1:${place.upstreamPort}
`;
}

/** Debian's HAProxy as a bare reverse proxy. */
export const haproxy: GatewayKind = {
  name: "haproxy",
  title: "HAProxy",
  features: "bare reverse proxy: none",
  hasWorkers: true,
  async prepare(options) {
    await needDebian("haproxy", "haproxy", options);
    const text = await run(["sh", "-c", "PATH=$PATH:/usr/sbin haproxy -v"], { timeoutMs: 10_000 });
    return /version ([\d.]+)/.exec(text)?.[1] ?? "";
  },
  async start(place) {
    const port = await freePort();
    const file = join(place.directory, "haproxy.cfg");
    writeFileSync(file, configuration(place, port));
    const process = start({
      command: ["/usr/sbin/haproxy", "-db", "-f", file],
      cores: place.cores,
      logFile: logFile(place),
    });
    await untilReady(process, { port, path: "/v1/models", timeoutMs: 10_000 });
    return { ...plain, port, process };
  },
};
