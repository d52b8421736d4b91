import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** Loads what `nexus gateway` loads before it has read its configuration, and prints what that brought with it. */
const script = `
import { registerHooks } from "node:module";
const packages = new Set();
registerHooks({
  load(url, context, next) {
    const name = /node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)?.[1];
    if (name !== undefined) packages.add(name);
    return next(url, context);
  },
});
for (const file of ["cli/run-process", "cli/verbs/gateway", "roles/gateway", "roles/gateway-alone"]) {
  await import(new URL(\`src/\${file}.ts\`, process.argv[1]));
}
const hasFetch = process.moduleLoadList.includes("NativeModule internal/deps/undici/undici");
console.log(JSON.stringify({ packages: [...packages].sort(), hasFetch }));
`;

test("a gateway's start loads no package that only some configurations need, and not Node's fetch", async () => {
  const root = new URL("../../", import.meta.url);
  const args = ["--input-type=module", "--eval", script, root.href];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: fileURLToPath(root), timeout: 60_000 });
  assert.deepEqual(JSON.parse(stdout), {
    packages: ["@stricli/core", "eventsource-parser", "kysely", "zod"],
    hasFetch: false,
  });
});
