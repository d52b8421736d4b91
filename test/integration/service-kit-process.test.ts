import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chat } from "../support/run-in-test.ts";
import { waitFor } from "../support/wait-for.ts";

const script = fileURLToPath(new URL("../fakes/kit-process.ts", import.meta.url));
const options = { timeout: 60_000 };

/** Starts a service process; resolves when it says that it listens, or has ended. */
async function startProcess(t: TestContext, environment: Record<string, string> = {}) {
  const directory = await mkdtemp(join(tmpdir(), "nexus-kit-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const runFile = join(directory, "run.json");
  const child = spawn(process.execPath, [script], {
    env: { PATH: process.env.PATH, NEXUS_RUN_FILE: runFile, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  let text = "";
  child.stderr.on("data", (chunk) => {
    text += chunk;
  });
  const ended = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  const listening = new Promise<void>((resolve) => {
    child.stdout.on("data", (chunk) => {
      text += chunk;
      if (text.includes('"message":"listening"')) resolve();
    });
  });
  await Promise.race([listening, ended]);
  return {
    child,
    ended,
    text: () => text,
    run: async () => JSON.parse(await readFile(runFile, "utf8")) as { pid: number; url: string },
  };
}

// proves: contract.drain
test("it writes where it listens; SIGTERM lets a stream end and exits with 0", options, async (t) => {
  const { child, ended, run, text } = await startProcess(t, { FAKE_SLOW: "20" });
  const { pid, url } = await run();
  assert.equal(pid, child.pid);
  const response = await chat(url, { stream: true, max_tokens: 20 });
  child.kill("SIGTERM");
  assert.match(await response.text(), /\[DONE\]\n\n$/);
  assert.deepEqual(await ended, [0, null]);
  assert.match(text(), /"message":"stopped"/);
});

test("a second signal ends it at once, with 1", options, async (t) => {
  const { child, ended, run } = await startProcess(t, { FAKE_SLOW: "60000" });
  const { url } = await run();
  const asked = chat(url, { stream: true }).then(
    (response) => response.text().catch(() => "cut"),
    () => "cut",
  );
  await waitFor("it is worked on", async () =>
    (await (await fetch(`${url}/metrics`, { signal: t.signal })).text()).includes("nexus_service_slots_active 1"),
  );
  child.kill("SIGINT");
  await waitFor("it drains", async () => {
    const { state } = (await (await fetch(`${url}/readyz`, { signal: t.signal })).json()) as { state: string };
    return state === "draining";
  });
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [1, null]);
  assert.equal(await asked, "cut");
});

for (const defect of ["throw", "reject"]) {
  test(`an uncaught defect (${defect}) is logged and ends it with 1`, options, async (t) => {
    const { ended, text } = await startProcess(t, { FAKE_DEFECT: defect });
    assert.deepEqual(await ended, [1, null]);
    assert.match(text(), /"level":"error".*defect on purpose.*uncaught error/);
  });
}

test("an address that is taken is said in words", options, async (t) => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  t.after(() => other.close());
  const { port } = other.address() as { port: number };
  const { ended, text } = await startProcess(t, { NEXUS_PORT: String(port) });
  assert.deepEqual(await ended, [1, null]);
  assert.match(text(), /Cannot listen on 127\.0\.0\.1:\d+: something else listens there/);
});

test("a log that nobody reads any more does not end it", options, async (t) => {
  const { child, ended, run } = await startProcess(t);
  const { url } = await run();
  child.stdout.destroy();
  for (let round = 0; round < 20; round++) assert.equal((await chat(url)).status, 200);
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
});
