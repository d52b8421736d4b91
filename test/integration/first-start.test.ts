import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { addModel } from "../../src/blobs/index.ts";
import type { PlatformStatus } from "../../src/control/status.ts";
import { startFakeBackend } from "../fakes/fake-backend.ts";
import { makeDirectory, nexus } from "../support/command-line.ts";
import { needs } from "../support/needs.ts";
import { startTestPlatform, type TestPlatform } from "../support/platform.ts";
import { writeTinyGguf } from "../support/tiny-gguf.ts";
import { waitFor } from "../support/wait-for.ts";

const run = promisify(execFile);
const hasCurl = await run("curl", ["--version"]).then(
  () => true,
  () => false,
);

/** A data directory whose default model comes from `source`, and the flag that says so. */
async function makeData(directory: string, source: string): Promise<{ data: string; args: string[] }> {
  const models = join(directory, "models");
  await addModel({ directory: models, id: "tiny", from: source });
  const config = join(directory, "test.yaml");
  await writeFile(config, JSON.stringify({ models: { directory: models, default: "tiny" } }));
  return { data: join(directory, "data"), args: ["--config", config] };
}

function untilStarted(platform: TestPlatform): Promise<string> {
  return waitFor(
    () => `it has started: ${platform.output()}`,
    () => {
      assert.equal(platform.parent.exitCode, null, platform.output());
      return /Ctrl-C stops/.test(platform.output()) && platform.output();
    },
  );
}

// proves: cli.up-and-down, cli.pasted-curl
test("the first start shows what runs where, and a curl line that works as it is pasted", {
  ...needs("curl", hasCurl),
  timeout: 120_000,
}, async (t) => {
  const directory = await makeDirectory(t);
  const platform = await startTestPlatform(await makeData(directory, await writeTinyGguf(join(directory, "t.gguf"))));
  t.after(() => platform.stop());
  const shown = await untilStarted(platform);
  assert.match(shown, new RegExp(`is ready at ${platform.url}`));
  assert.match(shown, new RegExp(`gateway +ready +${platform.url}`));
  assert.match(shown, /llm +ready +http:\/\/127\.0\.0\.1:\d+/);
  assert.match(shown, /tiny +chat.* tokens +llm\/builtin/);
  const [pasted = ""] = /^ *curl .*\\\n(?:.*\\\n)*.*$/m.exec(shown) ?? [];
  const { stdout } = await run("sh", ["-c", pasted], { timeout: 60_000 });
  const answer = JSON.parse(stdout) as { object: string; model: string };
  assert.deepEqual([answer.object, answer.model], ["chat.completion", "tiny"], stdout);
});

// proves: models.none, cli.status
test("without a model in reach the rest serves, and the status says what is missing and what to do", {
  timeout: 120_000,
}, async (t) => {
  const backend = await startFakeBackend("ollama");
  t.after(() => backend.close());
  const directory = await makeDirectory(t);
  const platform = await startTestPlatform(await makeData(directory, "/nowhere/model.gguf"));
  t.after(() => platform.stop());
  await untilStarted(platform);
  const verb = (...args: string[]) => nexus([...args, "--data", platform.data]);
  assert.equal((await verb("attach", backend.url, "--name", "desk")).code, 0);
  const chat = await verb("chat", "--model", "llama3.2", "Hello?");
  assert.equal(chat.code, 0, chat.stderr);

  const status = JSON.parse((await verb("status", "--json")).stdout) as PlatformStatus;
  const [problem] = status.problems.filter(({ message }) => message.includes("/nowhere/model.gguf"));
  assert.match(problem?.fix ?? "", /nexus /, JSON.stringify(status.problems));
  const { code, stdout } = await verb("status");
  assert.equal(code, 0, "it serves");
  assert.match(stdout, /gateway +ready/);
  assert.match(stdout, /ollama\/desk +Ollama.* ready/);
  assert.match(stdout, /llama3\.2:latest/);
  assert.match(stdout, /needs? you\n +llm: [^\n]*\/nowhere\/model\.gguf/);
});
