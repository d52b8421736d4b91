import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, delimiter, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { addModel } from "../../src/blobs/index.ts";
import { nexus } from "../support/command-line.ts";
import { needs } from "../support/needs.ts";
import { writeTinyGguf } from "../support/tiny-gguf.ts";
import { waitFor } from "../support/wait-for.ts";

const run = promisify(execFile);
const repository = fileURLToPath(new URL("../..", import.meta.url));
/** What a user's shell has: none of the tools that this clone installed. */
const path = (process.env.PATH ?? "")
  .split(delimiter)
  .filter((directory) => !directory.includes("node_modules"))
  .join(delimiter);
const env = { PATH: path, HOME: process.env.HOME ?? "", NO_COLOR: "1" };

const hasRegistry = await run("npm", ["view", "zod", "version", "--fetch-retries=0"], { env, timeout: 12_000 }).then(
  () => true,
  () => false,
);

// proves: start.one-command
test("`npm start` in a fresh clone is all that it takes to be answered", {
  ...needs("npm and its registry", hasRegistry),
  timeout: 300_000,
}, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "nexus-fresh-"));
  const data = join(directory, "data");
  const clone = join(directory, "clone");
  const isOurs = (file: string) => !["node_modules", ".git"].includes(basename(file));
  await cp(repository, clone, { recursive: true, filter: isOurs });
  const models = join(directory, "models");
  await addModel({ directory: models, id: "tiny", from: await writeTinyGguf(join(directory, "tiny.gguf")) });
  const config = join(directory, "test.yaml");
  await writeFile(config, JSON.stringify({ models: { directory: models, default: "tiny" } }));

  const flags = ["--data", data, "--config", config, "--port", "0", "--no-discovery"];
  const child = spawn("npm", ["start", "--", ...flags], {
    cwd: clone,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid ?? Number.NaN), "SIGKILL");
    await nexus(["down", "--data", data]);
    await rm(directory, { recursive: true, force: true });
  });
  let shown = "";
  const isUp = Promise.withResolvers<void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      shown += String(chunk);
      if (shown.includes("Ctrl-C stops")) isUp.resolve();
    });
  }
  const ended = once(child, "exit");
  await Promise.race([isUp.promise, ended]);
  const url = /export OPENAI_BASE_URL=(\S+)/.exec(shown)?.[1] ?? "";
  const key = /export OPENAI_API_KEY=(nxs_\S+)/.exec(shown)?.[1] ?? "";
  assert.ok(url !== "" && key !== "", shown);
  const answer = await fetch(`${url}/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "tiny", messages: [{ role: "user", content: "Hello?" }], max_tokens: 4 }),
  });
  assert.equal(answer.status, 200, await answer.text());
  // As a terminal's Ctrl-C: it reaches npm, its shell and Nexus.
  process.kill(-(child.pid ?? Number.NaN), "SIGINT");
  await ended;
  await waitFor("its end", () => !existsSync(join(data, "run", "parent.json")));
});
