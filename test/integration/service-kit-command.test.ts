import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { pathToFileURL } from "node:url";
import { defineService, readCommand, serveCommand } from "../../src/service-kit/index.ts";
import type { WorkDomain } from "../../src/service-kit/work/work.ts";
import { makeWorkshop } from "../support/new-service.ts";
import { runInTest } from "../support/run-in-test.ts";
import { waitFor } from "../support/wait-for.ts";

const options = { timeout: 60_000 };

/** A service of a shell script, in front of which `command.yaml` may say more. */
async function serveScript(t: TestContext, domain: WorkDomain, script: string, settings: object = {}) {
  const folder = await makeWorkshop(t);
  const file = join(folder, "command.yaml");
  await writeFile(file, JSON.stringify({ command: ["/bin/sh", "-c", script], ...settings }));
  const command = await readCommand(pathToFileURL(file), { PATH: process.env.PATH, SECRET: "s", MODEL: "m" });
  const service = defineService({
    name: "script",
    version: "1",
    backend: { name: "sh" },
    models: () => [{ id: "script", domains: [domain], state: "loaded" }],
    ...serveCommand(domain, command),
  });
  const { url } = await runInTest(t, service);
  await waitFor("it is ready", async () => (await fetch(`${url}/readyz`)).ok);
  const post = (path: string, fields: object, signal: AbortSignal = t.signal): Promise<Response> =>
    fetch(`${url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "script", ...fields }),
      signal,
    });
  return { folder, url, post };
}

const call = { arguments: { a: 1 } };
const errorOf = async (answer: Response) =>
  ((await answer.json()) as { error: { message: string; code: string } }).error;
const toolText = async (answer: Response): Promise<string> => {
  assert.equal(answer.status, 200);
  return ((await answer.json()) as { content: { text: string }[] }).content[0]?.text ?? "";
};

// proves: kit.commands
test("the request comes on stdin, the result from stdout", options, async (t) => {
  const { post } = await serveScript(t, "tool", "cat");
  const said = JSON.parse(await toolText(await post("/v1/tools/call", call))) as Record<string, unknown>;
  assert.deepEqual(said.arguments, { a: 1 });
  assert.equal(said.model, "script");
});

test("what is said is streamed as it is printed, and cut at max_tokens", options, async (t) => {
  const { post } = await serveScript(t, "chat", "printf 'one two'; sleep 0.1; printf ' three four'; sleep 60");
  const messages = [{ role: "user", content: "Hi" }];
  const answer = await post("/v1/chat/completions", { messages, max_tokens: 3 });
  const { choices, usage } = (await answer.json()) as {
    choices: { message: { content: string }; finish_reason: string }[];
    usage: { completion_tokens: number };
  };
  assert.equal(choices[0]?.message.content, "one two three");
  assert.deepEqual([choices[0]?.finish_reason, usage.completion_tokens], ["length", 3]);
});

// proves: kit.commands
test("its environment is clean but for what the file names", options, async (t) => {
  const settings = { environment: { OWN: "1" }, passEnvironment: ["MODEL"] };
  const { post } = await serveScript(t, "tool", "env | cut -d= -f1 | sort | tr '\\n' ' '", settings);
  const names = (await toolText(await post("/v1/tools/call", call))).trim().split(" ");
  // A shell sets some by itself.
  assert.deepEqual(
    names.filter((name) => !["PWD", "OLDPWD", "SHLVL", "_"].includes(name)),
    ["MODEL", "OWN", "PATH"],
  );
});

test("a program that refuses says why, one that fails does not", options, async (t) => {
  const refusing = await serveScript(t, "tool", "echo noise >&2; echo 'Give me a name.' >&2; exit 65");
  const refused = await refusing.post("/v1/tools/call", call);
  assert.equal(refused.status, 400);
  assert.equal((await errorOf(refused)).message, "Give me a name.");
  const failing = await serveScript(t, "tool", "echo 'secret at /srv' >&2; exit 3");
  const failed = await failing.post("/v1/tools/call", call);
  assert.equal(failed.status, 502);
  assert.doesNotMatch((await errorOf(failed)).message, /secret/);
});

// proves: kit.commands
test("what takes too long or prints too much is ended", options, async (t) => {
  const slow = await serveScript(t, "tool", "sleep 60", { timeoutSeconds: 0.3 });
  const late = await slow.post("/v1/tools/call", call);
  assert.deepEqual([late.status, (await errorOf(late)).code], [504, "first_token_timeout"]);
  const loud = await serveScript(t, "tool", "yes", { outputBytesMax: 1000 });
  const tooMuch = await loud.post("/v1/tools/call", call);
  assert.deepEqual([tooMuch.status, (await errorOf(tooMuch)).code], [502, "backend_error"]);
});

/** Whether a process is there and no zombie, as /proc says it. */
async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "0 (gone) Z");
  return !/\) [ZX]/.test(stat);
}

// proves: kit.commands
test("a client that leaves ends the program and its children, even those that will not hear", options, async (t) => {
  const script = "trap '' TERM; sleep 60 & echo $! > child; echo $$ > parent; wait; sleep 60";
  const { folder, post, url } = await serveScript(t, "tool", script);
  const leaving = new AbortController();
  const answer = post("/v1/tools/call", call, leaving.signal).catch(() => undefined);
  const pidOf = async (name: string) => Number(await readFile(join(folder, name), "utf8").catch(() => "0"));
  const [parent, child] = await waitFor("it runs", async () => {
    const pids = [await pidOf("parent"), await pidOf("child")] as const;
    return pids.every((pid) => pid > 0) ? pids : undefined;
  });
  assert.deepEqual([await isAlive(parent), await isAlive(child)], [true, true]);
  leaving.abort();
  await answer;
  await waitFor("both are gone", async () => !(await isAlive(parent)) && !(await isAlive(child)));
  await waitFor("the slot is free", async () =>
    /^nexus_service_slots_active 0$/m.test(await (await fetch(`${url}/metrics`)).text()),
  );
});

test("a child that is left behind does not hold up an answer", options, async (t) => {
  const { post } = await serveScript(t, "tool", "sleep 60 & echo done");
  assert.equal(await toolText(await post("/v1/tools/call", call)), "done");
});

// proves: kit.commands
test(
  "a child that has left the group and keeps the pipes holds nobody longer than the time there is",
  options,
  async (t) => {
    const { post } = await serveScript(t, "tool", "setsid sleep 30 & sleep 0.1; echo done", { timeoutSeconds: 0.5 });
    const since = performance.now();
    const late = await post("/v1/tools/call", call);
    assert.deepEqual([late.status, (await errorOf(late)).code], [504, "first_token_timeout"]);
    assert.ok(performance.now() - since < 25_000);
  },
);

test("a program that is not there keeps the service from being ready, with the reason", options, async (t) => {
  const folder = await makeWorkshop(t);
  const file = join(folder, "command.yaml");
  await writeFile(file, "command: [no-such-program]\n");
  const service = defineService({
    name: "script",
    version: "1",
    backend: { name: "sh" },
    models: () => [],
    ...serveCommand("tool", await readCommand(pathToFileURL(file), { PATH: process.env.PATH })),
  });
  const { url } = await runInTest(t, service);
  await waitFor("it says so", async () =>
    /no-such-program is not there/.test(await (await fetch(`${url}/readyz`)).text()),
  );
});

test("media is what its bytes say, and bytes go in as base64", options, async (t) => {
  const speaking = await serveScript(t, "speech", "printf 'fLaC0123456789'");
  const sound = await speaking.post("/v1/audio/speech", { input: "Hi", voice: "a", response_format: "wav" });
  assert.equal(sound.headers.get("content-type"), "audio/flac");
  const reading = await serveScript(t, "ocr", `sed 's/.*"base64":"\\([^"]*\\)".*/[{"markdown":"\\1"}]/'`);
  const document = { type: "image_url", image_url: "data:image/png;base64,aGVsbG8=" };
  const { pages } = (await (await reading.post("/v1/ocr", { document })).json()) as { pages: { markdown: string }[] };
  assert.equal(pages[0]?.markdown, "aGVsbG8=");
});
