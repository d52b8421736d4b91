import assert from "node:assert/strict";
import { appendFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeDirectory } from "../../test/support/command-line.ts";
import { findLogEnds, followLogs, type LogLine, lastLines, listLogs, parseLogLine, toJsonLine } from "./log-files.ts";

const line = (time: string, message: string) => `${JSON.stringify({ level: "info", time, message })}\n`;

test("lines of several logs are in the order of their times; others stay behind the one before", async (t) => {
  const directory = await makeDirectory(t);
  writeFileSync(join(directory, "a.log"), line("2026-01-01T00:00:01Z", "a1") + line("2026-01-01T00:00:03Z", "a3"));
  writeFileSync(join(directory, "b.log"), `${line("2026-01-01T00:00:02Z", "b2")}Trace: no json\n`);
  const messages = async (count: number) =>
    (await lastLines(directory, ["a", "b"], count)).map(({ message }) => message);
  assert.deepEqual(await messages(10), ["a1", "b2", "Trace: no json", "a3"]);
  assert.deepEqual(await messages(2), ["Trace: no json", "a3"]);
});

test("what is no JSON line of Nexus is kept as it is", () => {
  for (const text of ["plain", "{broken", "{}", '{"message":5}', "[1]"]) {
    assert.equal(parseLogLine("p", text).message, text);
  }
  assert.deepEqual(parseLogLine("p", '{"time":"t","level":"warn","message":"m","process":"p","n":1}'), {
    process: "p",
    time: "t",
    level: "warn",
    message: "m",
    fields: { n: 1 },
  });
});

test("following gives each new line once, also after the file became short", async (t) => {
  const directory = await makeDirectory(t);
  const path = join(directory, "a.log");
  writeFileSync(path, "old\n");
  const stop = new AbortController();
  const seen: string[] = [];
  let arrived = () => {};
  const following = followLogs({
    directory,
    from: await findLogEnds(directory, ["a"]),
    signal: stop.signal,
    onLine: ({ message }: LogLine) => {
      seen.push(message);
      arrived();
    },
  });
  const next = async (write: () => void) => {
    const wait = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    write();
    await wait;
  };
  await next(() => appendFileSync(path, "one\nha"));
  await next(() => appendFileSync(path, "lf\n"));
  truncateSync(path);
  await new Promise((resolve) => setTimeout(resolve, 400));
  await next(() => appendFileSync(path, "two\n"));
  stop.abort();
  await following;
  assert.deepEqual(seen, ["one", "half", "two"]);
});

test("following every log gives those that begin later from their first line, and the last lines before its end", async (t) => {
  const directory = await makeDirectory(t);
  writeFileSync(join(directory, "a.log"), "old\n");
  const stop = new AbortController();
  const seen: string[] = [];
  const from = await findLogEnds(directory, await listLogs(directory));
  writeFileSync(join(directory, "b.log"), line("2026-01-01T00:00:02Z", "first"));
  const { promise, resolve } = Promise.withResolvers<void>();
  const onLine = (found: LogLine) => {
    seen.push(toJsonLine(found));
    resolve();
  };
  const following = followLogs({ directory, from, withNew: true, signal: stop.signal, onLine });
  await promise;
  appendFileSync(join(directory, "a.log"), "last\n");
  stop.abort();
  await following;
  assert.deepEqual(seen, [
    '{"time":"2026-01-01T00:00:02Z","level":"info","process":"b","message":"first"}',
    '{"process":"a","message":"last"}',
  ]);
  assert.deepEqual(await listLogs(join(directory, "missing")), []);
});
