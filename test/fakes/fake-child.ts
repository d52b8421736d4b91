import { spawn } from "node:child_process";
import { renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * A program to be supervised. `node fake-child.ts [serve] [crash] [deaf] [family] [chatty] [environment]`:
 * serve: answers /health, and /readyz after the first 200 ms, and writes {pid, url} to NEXUS_RUN_FILE
 * crash: exits with code 3 at once · deaf: ignores SIGTERM · family: starts a deaf child and prints its pid
 * chatty: prints numbered lines without end · environment: prints its environment as JSON
 */
const modes = new Set(process.argv.slice(2));
const print = (line: string) => process.stdout.write(`${line}\n`);

if (modes.has("environment")) print(JSON.stringify(process.env));
if (modes.has("crash")) {
  print("crashing");
  process.exit(3);
}
process.on("SIGTERM", () => {
  if (modes.has("deaf")) return;
  print("drained");
  process.exit(0);
});
if (modes.has("family")) {
  const child = spawn(process.execPath, [import.meta.filename, "deaf"], { stdio: "ignore" });
  print(`child ${child.pid}`);
}
if (modes.has("chatty")) {
  let line = 0;
  setInterval(() => print(`line ${line++} ${"x".repeat(1_000)}`), 1);
}
if (modes.has("serve")) {
  const startedAt = performance.now();
  const server = createServer((request, response) => {
    const isReady = request.url === "/health" || performance.now() - startedAt > 200;
    response.writeHead(isReady ? 200 : 503).end();
  });
  server.listen(0, "127.0.0.1", () => {
    const file = process.env.NEXUS_RUN_FILE;
    if (file === undefined) return;
    const { port } = server.address() as AddressInfo;
    writeFileSync(`${file}.tmp`, JSON.stringify({ pid: process.pid, url: `http://127.0.0.1:${port}` }));
    renameSync(`${file}.tmp`, file);
  });
}
// Not for ever: a test that breaks off leaves nothing running for long.
setTimeout(() => process.exit(0), 60_000);
print("up");
