import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { waitFor } from "../../test/support/wait-for.ts";
import { systemClock } from "../base/clock.ts";
import { silentLogger } from "../base/logger.ts";
import { LiveConfig, type LiveConfigState, type PrepareConfig } from "./live-config.ts";
import { type LoadedConfig, loadConfig } from "./load.ts";

/** A live configuration in a directory of its own, and what was made to hold. */
async function openLive(t: TestContext, options: { text?: string; prepare?: PrepareConfig } = {}) {
  const directory = mkdtempSync(join(tmpdir(), "nexus-live-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, "nexus.yaml");
  if (options.text !== undefined) writeFileSync(file, options.text);
  const loaded = await loadConfig({
    flags: { data: join(directory, "data") },
    environment: {},
    workingDirectory: directory,
    homeDirectory: directory,
  });
  const held: string[] = [];
  const states: LiveConfigState[] = [];
  const live = new LiveConfig({
    loaded,
    prepare: options.prepare ?? (async (next) => () => void held.push(aliasesOf(next))),
    onChange: (state) => void states.push(state),
    clock: systemClock,
    log: silentLogger,
  });
  t.after(() => live.close());
  const replace = (text: string) => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  const until = (isSo: () => boolean) => waitFor(() => `what was written, after ${held.join(" ")}`, isSo);
  return { live, held, states, file, replace, until };
}

function aliasesOf({ config }: LoadedConfig): string {
  return Object.keys(config.aliases).join("+");
}

// proves: reload.followed
test("the file is followed however it is written", { timeout: 60_000 }, async (t) => {
  const { live, held, file, replace, until } = await openLive(t, { text: "aliases: { one: m }" });
  live.follow();
  writeFileSync(file, "aliases: { two: m }");
  await until(() => held.at(-1) === "two");
  replace("aliases: { three: m }");
  await until(() => held.at(-1) === "three");
  // As editors do that keep the one before: away, then back.
  renameSync(file, `${file}~`);
  writeFileSync(file, "aliases: { four: m }");
  await until(() => held.at(-1) === "four");
  assert.deepEqual(held, ["two", "three", "four"]);
});

test("a file that comes later is found", { timeout: 60_000 }, async (t) => {
  const { live, held, replace, until } = await openLive(t);
  live.follow();
  replace("aliases: { first: m }");
  await until(() => held.at(-1) === "first");
});

test("a file that is written in steps is read once it is whole", { timeout: 60_000 }, async (t) => {
  const { live, held, file, until } = await openLive(t, { text: "aliases: { one: m }" });
  live.follow();
  for (let end = 0; end <= 20; end++) {
    writeFileSync(file, `aliases:\n${"  a: m\n".repeat(Number(end > 5))}${"  b: m\n".repeat(Number(end === 20))}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await until(() => held.at(-1) === "a+b");
  assert.deepEqual(held, ["a+b"]);
});

// proves: reload.all-or-nothing
test("what is refused leaves the one before, until the file is good or as it was", { timeout: 60_000 }, async (t) => {
  const { live, held, states, file, replace } = await openLive(t, { text: "aliases: { one: m }" });
  const outcome = async () => (await live.reload()).outcome;
  replace("aliases: { one: m }\nlisten: { port: 1 }\n");
  assert.equal(await outcome(), "refused");
  const { since } = live.state.refused ?? {};
  replace("aliases: {");
  assert.equal(await outcome(), "refused");
  assert.equal(live.state.refused?.since, since, "since the first of several");
  assert.match(live.state.refused?.problems[0]?.where ?? "", /nexus\.yaml:\d/);
  replace("  \n");
  assert.equal(await outcome(), "refused", "an empty one is about to be written");
  unlinkSync(file);
  assert.equal(await outcome(), "refused", "and so is one that has gone");
  assert.deepEqual(held, []);
  assert.deepEqual(Object.keys(live.current.config.aliases), ["one"]);
  replace("aliases: { one: m }");
  assert.equal(await outcome(), "unchanged");
  assert.equal(live.state.refused, undefined);
  replace("# Nothing else.\naliases: { one: m }");
  assert.equal(await outcome(), "unchanged");
  replace("aliases: { two: m }");
  assert.equal(await outcome(), "applied");
  assert.deepEqual(held, ["two"]);
  assert.deepEqual(live.state.reloads, { applied: 1, unchanged: 2, refused: 4 });
  assert.equal(states.at(-1), live.state);
});

test("what can't be prepared is refused with its reason, and reloads come one after the other", {
  timeout: 60_000,
}, async (t) => {
  let running = 0;
  let isBroken = true;
  const { live, replace } = await openLive(t, {
    text: "aliases: { one: m }",
    async prepare() {
      assert.equal(++running, 1, "one at a time");
      await new Promise((resolve) => setTimeout(resolve, 20));
      running--;
      if (isBroken) throw new Error("no room");
      return () => {};
    },
  });
  replace("aliases: { two: m }");
  const reports = await Promise.all([live.reload(), live.reload()]);
  assert.deepEqual(
    reports.map((report) => report.outcome === "refused" && report.problems[0]?.message),
    ["no room", "no room"],
  );
  isBroken = false;
  assert.deepEqual(
    (await Promise.all([live.reload(), live.reload()])).map(({ outcome }) => outcome),
    ["applied", "unchanged"],
  );
});
