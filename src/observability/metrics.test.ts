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

// proves: contract.metrics
test("labels are a closed set: an id of a request is refused by the types", (t) => {
  const metrics = createMetrics();
  t.after(() => metrics.close());
  // @ts-expect-error `request_id` would be a time series per request.
  const label: MetricLabel = "request_id";
  assert.equal(typeof label, "string");
});
