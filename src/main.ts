import { enableCompileCache } from "node:module";
import { join } from "node:path";

// Before anything else is loaded: half of the start of a short verb is reading TypeScript, and Node can keep that. Not
// below the temporary directory, which is Node's own choice: others could leave something for us there.
enableCompileCache(join(import.meta.dirname, "..", "node_modules", ".cache", "compile"));
if (process.argv[2] === "gateway-worker" && process.connected) {
  await (await import("./roles/gateway-worker.ts")).runWorker(process.env);
} else {
  await runVerb();
}

async function runVerb(): Promise<void> {
  const { runProcess } = await import("./cli/run-process.ts");
  await runProcess(import.meta.filename, {
    startPlatform: async (request) => (await import("./roles/all-in-one.ts")).startPlatform(request),
    findOrphans: async (paths) => (await import("./supervisor/find-orphans.ts")).findOrphans(paths.run),
    stopOrphans: async (request) => (await import("./roles/stop-orphans.ts")).stopOrphans(request),
    runGateway: async (request) => (await import("./roles/gateway.ts")).runGateway(request),
  });
}
