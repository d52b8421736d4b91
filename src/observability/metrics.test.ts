import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics, type MetricLabel } from "./metrics.ts";

test("the text holds the process's metrics and what was counted", async (t) => {
  const metrics = createMetrics();
  t.after(() => metrics.close());
  const requests = metrics.counter({ name: "nexus_test_total", help: "Test.", labels: ["operation", "status"] });
  requests.inc({ operation: "chat.completions.create", status: "200" }, 2);
  metrics.gauge({ name: "nexus_test_depth", help: "Test.", collect: (gauge) => gauge.set(7) });
  metrics.histogram({ name: "nexus_test_seconds", help: "Test.", buckets: [1, 5] }).observe(3);
  const text = await metrics.text();
  assert.match(text, /^nexus_test_total\{operation="chat\.completions\.create",status="200"\} 2$/m);
  assert.match(text, /^nexus_test_depth 7$/m);
  assert.match(text, /^nexus_test_seconds_bucket\{le="5"\} 1$/m);
  assert.match(text, /^process_resident_memory_bytes [1-9]\d{6,}$/m);
  assert.match(text, /^# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 0?\.?\d/m);
  assert.match(text, /^nodejs_eventloop_lag_p99_seconds \d/m);
  assert.match(metrics.contentType, /^text\/plain; version=0\.0\.4/);
});

test("two registries share nothing, and reading twice does not add up", async (t) => {
  const one = createMetrics();
  const other = createMetrics();
  t.after(() => {
    one.close();
    other.close();
  });
  one.counter({ name: "nexus_only_here_total", help: "Test." }).inc();
  assert.match(await one.text(), /^nexus_only_here_total 1$/m);
  assert.match(await one.text(), /^nexus_only_here_total 1$/m);
  assert.doesNotMatch(await other.text(), /nexus_only_here/);
});

test("buckets add up from below, each set of labels on its own, and a bound belongs to its bucket", async (t) => {
  const metrics = createMetrics();
  t.after(() => metrics.close());
  const seconds = metrics.histogram({ name: "nexus_h_seconds", help: "H.", labels: ["operation"], buckets: [1, 5] });
  for (const value of [0.5, 1, 1.5, 9]) seconds.observe({ operation: "a" }, value);
  seconds.observe({ operation: "b" }, 2);
  const text = await metrics.text();
  assert.ok(
    text.includes(
      [
        "# HELP nexus_h_seconds H.",
        "# TYPE nexus_h_seconds histogram",
        'nexus_h_seconds_bucket{le="1",operation="a"} 2',
        'nexus_h_seconds_bucket{le="5",operation="a"} 3',
        'nexus_h_seconds_bucket{le="+Inf",operation="a"} 4',
        'nexus_h_seconds_sum{operation="a"} 12',
        'nexus_h_seconds_count{operation="a"} 4',
        'nexus_h_seconds_bucket{le="1",operation="b"} 0',
      ].join("\n"),
    ),
    text,
  );
});

test("a label's value cannot end its line, and a help text neither", async (t) => {
  const metrics = createMetrics();
  t.after(() => metrics.close());
  const odd = metrics.gauge({ name: "nexus_odd", help: "a\nb\\c", labels: ["model"] });
  odd.set({ model: 'a"b\\c\nd' }, 1);
  odd.inc({ model: "plain" });
  odd.dec({ model: "plain" }, 3);
  const text = await metrics.text();
  assert.ok(text.includes("# HELP nexus_odd a\\nb\\\\c\n"), text);
  assert.ok(text.includes('nexus_odd{model="a\\"b\\\\c\\nd"} 1\n'), text);
  assert.match(text, /^nexus_odd\{model="plain"\} -2$/m);
});

test("a label that takes any value does not take all memory", async (t) => {
  const metrics = createMetrics();
  t.after(() => metrics.close());
  const many = metrics.counter({ name: "nexus_many_total", help: "Test.", labels: ["model"] });
  for (let value = 0; value < 10_100; value++) many.inc({ model: String(value) });
  assert.equal((await metrics.text()).match(/^nexus_many_total\{/gm)?.length, 10_000);
});

test("two metrics cannot have one name", (t) => {
  const metrics = createMetrics();
  t.after(() => metrics.close());
  metrics.counter({ name: "nexus_twice_total", help: "Test." });
  assert.throws(() => metrics.gauge({ name: "nexus_twice_total", help: "Test." }), /nexus_twice_total/);
});

// proves: contract.metrics
test("labels are a closed set: an id of a request is refused by the types", (t) => {
  const metrics = createMetrics();
  t.after(() => metrics.close());
  // @ts-expect-error `request_id` would be a time series per request.
  const label: MetricLabel = "request_id";
  assert.equal(typeof label, "string");
});
