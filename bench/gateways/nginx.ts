import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, start, untilReady } from "../processes.ts";
import { needDebian } from "./debian.ts";
import { freePort, type GatewayKind, logFile, type Place, plain } from "./gateway.ts";

/** As fast as it goes: connections to the upstream are kept, nothing is logged, streams are not held back. */
function configuration(place: Place, port: number): string {
  const inside = (name: string) => join(place.directory, name);
  return `daemon off;
worker_processes ${place.workers};
pid ${inside("nginx.pid")};
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 100000000;
  client_max_body_size 64m;
  client_body_buffer_size 1m;
  client_body_temp_path ${inside("body")};
  proxy_temp_path ${inside("proxy")};
  fastcgi_temp_path ${inside("fastcgi")};
  uwsgi_temp_path ${inside("uwsgi")};
  scgi_temp_path ${inside("scgi")};
  upstream model { server 127.0.0.1:${place.upstreamPort}; keepalive 256; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header connection "";
      proxy_buffering off;
    }
  }
}
`;
}

/** Debian's nginx as a bare reverse proxy: the limit of what a process between client and server can do. */
export const nginx: GatewayKind = {
  name: "nginx",
  title: "nginx",
  features: "bare reverse proxy: none",
  hasWorkers: true,
  async prepare(options) {
    await needDebian("nginx", "nginx-light", options);
    const text = await run(["sh", "-c", "PATH=$PATH:/usr/sbin nginx -v 2>&1"], { timeoutMs: 10_000 });
    return /nginx\/([\d.]+)/.exec(text)?.[1] ?? "";
  },
  async start(place) {
    const port = await freePort();
    const file = join(place.directory, "nginx.conf");
    writeFileSync(file, configuration(place, port));
    const process = start({
      command: ["/usr/sbin/nginx", "-p", place.directory, "-c", file],
      cores: place.cores,
      logFile: logFile(place),
    });
    await untilReady(process, { port, path: "/v1/models", timeoutMs: 10_000 });
    return { ...plain, port, process };
  },
};
