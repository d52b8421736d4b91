import { defineService, readServiceEnvironment, runService, type Service, serveWork } from "nexus/service-kit";
import { work } from "./work.ts";

/** A small server to wrap, until there is a real one: delete this folder then. */
export function createExample(): Service {
  return defineService({
    name: "example",
    version: "0.1.0",
    backend: { name: "example" },
    models: () => [{ id: "example", domains: ["{{domain}}"], state: "loaded" }],
    ...serveWork("{{domain}}", work, { concurrency: 8 }),
  });
}

if (import.meta.main) await runService(createExample(), readServiceEnvironment({ NEXUS_PORT: "9000" }));
