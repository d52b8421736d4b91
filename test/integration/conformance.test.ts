import assert from "node:assert/strict";
import { test } from "node:test";
import { conformanceChecks, runConformance } from "../../src/contract/conformance/run-conformance.ts";
import type { ServiceContext } from "../../src/service-kit/index.ts";
import { goodEverything } from "../fakes/good-everything.ts";
import { goodForms } from "../fakes/good-forms.ts";
import { goodService, type Pace } from "../fakes/good-service.ts";
import { failuresOf, heldPace, report } from "../support/conformance.ts";
import { runInTest } from "../support/run-in-test.ts";

const options = { timeout: 60_000 };

/** Checks of a process, which is not the test's own to end. */
const ofProcess = (id: string) => /^(process|drain)\./.test(id);

// proves: contract.metadata, contract.metrics
test("a good service passes every check", options, async (t) => {
  const { url } = await runInTest(t, goodEverything({}, heldPace));
  const results = await report({ baseUrl: `${url}/`, signal: t.signal });
  assert.deepEqual(
    results.filter(({ id, status }) => status !== "pass" && !ofProcess(id)),
    [],
  );
  assert.deepEqual(
    results.map(({ id }) => id),
    conformanceChecks.map(({ id }) => id),
  );
});

test("without generating, no model is asked for a token", options, async (t) => {
  const never: Pace = () => {
    throw new Error("a token was made");
  };
  const { url } = await runInTest(t, goodEverything({}, never));
  const results = await report({ baseUrl: url, signal: t.signal, generate: false });
  assert.deepEqual(failuresOf(results), []);
  const skipped = results.filter(({ id, status }) => status === "skip" && !ofProcess(id)).map(({ id }) => id);
  assert.deepEqual(
    skipped,
    conformanceChecks.filter(({ id, generates }) => generates && !ofProcess(id)).map(({ id }) => id),
  );
});

const untilStopped = ({ signal }: ServiceContext): Promise<void> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

test("a service that still loads is not failed for refusing work", options, async (t) => {
  const { url } = await runInTest(t, goodService({ start: untilStopped }));
  const results = await report({ baseUrl: url, signal: t.signal });
  assert.deepEqual(failuresOf(results), []);
  assert.match(results.find(({ id }) => id === "chat.answers")?.reason ?? "", /not ready \(starting\)/);
});

test("a service without models or a stream is checked as far as it goes", options, async (t) => {
  const capabilities = { domains: ["chat" as const], max_concurrency: 1 };
  const { url } = await runInTest(t, goodService({ capabilities, models: () => [] }));
  assert.deepEqual(failuresOf(await report({ baseUrl: url, signal: t.signal })), []);
});

test("a service that takes nothing but forms is asked with forms", options, async (t) => {
  const { url } = await runInTest(t, goodForms());
  const results = await report({ baseUrl: url, signal: t.signal });
  assert.deepEqual(failuresOf(results), []);
  const errors = results.filter(({ id }) => id.startsWith("errors.") && id !== "errors.context-length");
  assert.deepEqual([...new Set(errors.map(({ status }) => status))], ["pass"]);
});

test("where nothing listens every check that looks fails, with the reason", options, async (t) => {
  const results = await report({ baseUrl: "http://127.0.0.1:9", signal: t.signal });
  assert.match(results[0]?.reason ?? "", /ECONNREFUSED|bad port/);
  assert.ok(results.every(({ status }) => status !== "pass"));
});

test("an aborted run ends with its reason", options, async (t) => {
  const { url } = await runInTest(t, goodService());
  const stop = new AbortController();
  const seen: string[] = [];
  await assert.rejects(async () => {
    for await (const { id } of runConformance({ baseUrl: url, signal: stop.signal })) {
      seen.push(id);
      stop.abort(new Error("enough"));
    }
  }, /enough/);
  assert.equal(seen.length, 1);
});

test("the key goes with every request", options, async (t) => {
  const { url } = await runInTest(t, goodService());
  const keys = new Set<string | null>();
  const watching: typeof fetch = (input, init) => {
    keys.add(new Headers(init?.headers).get("authorization"));
    return fetch(input, init);
  };
  for await (const _ of runConformance({
    baseUrl: url,
    key: "k1",
    signal: t.signal,
    fetch: watching,
    generate: false,
  }));
  assert.deepEqual([...keys], ["Bearer k1"]);
});
