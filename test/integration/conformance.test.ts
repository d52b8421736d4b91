import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type CheckResult, conformanceChecks, runConformance } from "../../src/contract/conformance/run-conformance.ts";
import type { ServiceContext } from "../../src/service-kit/index.ts";
import { brokenApis } from "../fakes/broken-apis.ts";
import { brokenServices } from "../fakes/broken-service.ts";
import { goodEverything } from "../fakes/good-everything.ts";
import { goodService, type Pace } from "../fakes/good-service.ts";
import { spoilingProxy } from "../fakes/spoiling-proxy.ts";
import { runInTest } from "../support/run-in-test.ts";

const options = { timeout: 60_000 };

/** Short answers come at once; long ones stop after 20 tokens until somebody leaves, as on a slow machine. */
const pace: Pace = (token, signal) =>
  token < 20
    ? new Promise((resolve) => setImmediate(resolve))
    : new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

async function report(t: TestContext, baseUrl: string, generate = true): Promise<readonly CheckResult[]> {
  const results: CheckResult[] = [];
  for await (const result of runConformance({ baseUrl, signal: t.signal, generate })) results.push(result);
  return results;
}

const failuresOf = (results: readonly CheckResult[]) =>
  results.filter(({ status }) => status === "fail").map(({ id, reason }) => ({ id, reason }));

// proves: contract.metadata, contract.metrics
test("a good service passes every check", options, async (t) => {
  const { url } = await runInTest(t, goodEverything({}, pace));
  const results = await report(t, `${url}/`);
  assert.deepEqual(
    results.filter(({ status }) => status !== "pass"),
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
  const results = await report(t, url, false);
  assert.deepEqual(failuresOf(results), []);
  const skipped = results.filter(({ status }) => status === "skip").map(({ id }) => id);
  assert.deepEqual(
    skipped,
    conformanceChecks.filter(({ generates }) => generates).map(({ id }) => id),
  );
});

const untilStopped = ({ signal }: ServiceContext): Promise<void> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

test("a service that still loads is not failed for refusing work", options, async (t) => {
  const { url } = await runInTest(t, goodService({ start: untilStopped }));
  const results = await report(t, url);
  assert.deepEqual(failuresOf(results), []);
  assert.match(results.find(({ id }) => id === "chat.answers")?.reason ?? "", /not ready \(starting\)/);
});

test("a service without models or a stream is checked as far as it goes", options, async (t) => {
  const capabilities = { domains: ["chat" as const], max_concurrency: 1 };
  const { url } = await runInTest(t, goodService({ capabilities, models: () => [] }));
  assert.deepEqual(failuresOf(await report(t, url)), []);
});

test("where nothing listens every check that looks fails, with the reason", options, async (t) => {
  const results = await report(t, "http://127.0.0.1:9");
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

for (const broken of [...brokenServices, ...brokenApis]) {
  // proves: contract.check-finds
  test(`${broken.breaks} finds a service when ${broken.defect}`, options, async (t) => {
    const { url } = await runInTest(t, goodEverything({}, pace));
    const proxy = await spoilingProxy(url, broken);
    t.after(() => proxy.close());
    const failures = failuresOf(await report(t, proxy.url));
    const expected = [broken.breaks, ...(broken.alsoBreaks ?? [])];
    assert.ok(
      failures.some(({ id }) => id === broken.breaks),
      `not found: ${JSON.stringify(failures)}`,
    );
    assert.deepEqual(
      failures.filter(({ id }) => !expected.includes(id)),
      [],
    );
  });
}

// proves: contract.check-finds
test("every check is proven by a service that fails it", () => {
  const proven = new Set([...brokenServices, ...brokenApis].map(({ breaks }) => breaks));
  assert.deepEqual(
    conformanceChecks.map(({ id }) => id).filter((id) => !proven.has(id)),
    [],
  );
});
