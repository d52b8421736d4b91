import { defineService, type Service, serveWork } from "nexus/service-kit";
import { work } from "./work.ts";

/** What this service says of itself, and who does its work. */
export function createService(): Service {
  return defineService({
    name: "{{name}}",
    version: "0.1.0",
    description: "{{title}}",
    backend: { name: "{{name}}", version: "0.1.0" },
    models: () => [{ id: "{{name}}", domains: ["{{domain}}"], state: "loaded" }],
    ...serveWork("{{domain}}", work, { concurrency: 4 }),
  });
}
