import assert from "node:assert/strict";
import { test } from "node:test";
import { startFakeBackend } from "../fakes/fake-backend.ts";
import { nexus } from "../support/command-line.ts";
import { needsTerminal, onTerminal } from "../support/on-terminal.ts";
import { makeData, startPlatformFor } from "../support/started-platform.ts";

// proves: cli.chat
test("a conversation: commands, several lines, Ctrl-C stops an answer, then a line, then all", {
  skip: needsTerminal,
  timeout: 120_000,
}, async (t) => {
  const backend = await startFakeBackend("ollama");
  t.after(() => backend.close());
  const { data } = await startPlatformFor(t);
  await nexus(["attach", backend.url, "--data", data]);
  const screen = onTerminal(t, ["chat", "--data", data]);
  await screen.until(/llama3\.2:latest .*\/help lists commands[\s\S]*> /);
  screen.type("/help\r");
  await screen.until(/\/system \[TEXT\]/);
  screen.type("/system Be kind.\r");
  await screen.until(/is set/);
  screen.type("one \\\r");
  await screen.until(/… /);
  screen.type("two\r");
  await screen.until(/Zürich, 你好 🌍👩‍🚀 done\./);
  const [asked] = backend.requests.filter(({ body }) => JSON.stringify(body ?? "").includes("two")).slice(-1);
  assert.match(JSON.stringify(asked?.body), /Be kind\.[\s\S]*one \\\\ntwo|Be kind\.[\s\S]*one \\ntwo/);
  screen.type("/modle\r");
  await screen.until(/Did you mean \/model\?/);

  backend.set({ faults: { stallAfterChunks: 4 } });
  screen.type("again\r");
  await screen.until(/Hello/);
  screen.type("\u0003");
  await screen.until(/\(stopped\)[\s\S]*> /);
  screen.type("half a line\u0003/exi\u0003/exit\r");
  assert.equal(await screen.ended, 0);
});

test("up on a terminal draws its stages, says all that is needed, and ends with Ctrl-C", {
  skip: needsTerminal,
  timeout: 120_000,
}, async (t) => {
  const data = await makeData(t);
  const flags = ["--no-builtin", "--no-discovery", "--port", "0", "--data", data];
  const screen = onTerminal(t, ["up", ...flags]);
  await screen.until(/gateway +starting/);
  await screen.until(/is ready at http:\/\/127\.0\.0\.1:\d+[\s\S]*export OPENAI_API_KEY=nxs_\S+[\s\S]*Ctrl-C stops/);
  assert.ok(screen.raw().includes("\u001b[32m"), "in colour");
  screen.type("\u0003");
  await screen.until(/Stopping[\s\S]*has stopped/);
  assert.equal(await screen.ended, 0);
  const plain = onTerminal(t, ["config", "show"], { NO_COLOR: "1" });
  assert.equal(await plain.ended, 0);
  assert.ok(!plain.raw().includes("\u001b["), "no colour when nobody wants it");
});
