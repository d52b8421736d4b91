import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeRecord, makeSnapshot, type RecordOptions } from "../../test/support/records.ts";
import { factsOf, type HostFacts } from "./facts.ts";
import { indexModels } from "./model-index.ts";
import { compileSelector, SelectorError } from "./selector.ts";

const rack: HostFacts = {
  zone: "rack1",
  labels: { owner: "lab" },
  gpu: { memory: 24 * 2 ** 30, count: 2, name: "RTX 4090", computeCapability: 8.9 },
  memory: 64 * 2 ** 30,
  cpu: 16,
};

function mismatch(source: string, options: RecordOptions = {}, host?: HostFacts): string | undefined {
  const [offer] = indexModels(makeSnapshot([makeRecord(options)])).offers.get("m") ?? [];
  assert.ok(offer !== undefined);
  return compileSelector(source).mismatch(factsOf(offer, host));
}

function refusal(source: string): string {
  try {
    compileSelector(source);
  } catch (error) {
    if (error instanceof SelectorError) return error.message;
  }
  assert.fail(`${source} was not refused`);
}

// proves: routing.selectors
describe("a selector", () => {
  const fitting = [
    'host.gpu.memory >= 16Gi && host.zone == "rack1"',
    "host.cpu == 16 && host.cpu != 8 && 16 == host.cpu && !(host.cpu == 8)",
    "host.gpu.count == 2 && host.gpu.compute_capability >= 8 && host.cpu >= 8 && host.memory > 32Gi",
    'host.gpu.name.startsWith("RTX") && host.labels.owner == "lab"',
    'host.name == "host-1" && service in ["chat", "llm"] && instance.name == "one"',
    'instance.service == service && instance.labels["kind"] == "fast" && instance.state == "ready"',
    'model.id == "m" && model.context_window >= 4k && model.size_bytes < 1G && model.features.tools',
    'has(host.zone) && !has(host.labels.spare) && !("spare" in host.labels)',
    'host.labels.spare == "x" || host.zone == "rack1"',
  ];
  const options = {
    labels: { kind: "fast" },
    models: [{ id: "m", context_window: 8192, size_bytes: 500_000_000, features: { tools: true } }],
  };
  for (const source of fitting) it(`fits: ${source}`, () => assert.equal(mismatch(source, options, rack), undefined));

  it("says what it does not fit", () => {
    assert.equal(mismatch('host.zone == "rack2"', {}, rack), 'does not fit `host.zone == "rack2"`');
  });

  it("is not met by what is unknown, whichever way the question is put, and says what is unknown", () => {
    for (const source of ['host.zone == "a"', 'host.zone != "a"', '!(host.zone == "a")', 'host.zone in ["a"]']) {
      assert.match(mismatch(source) ?? "", /^`host\.zone` is not known of it/);
    }
    assert.match(mismatch("host.gpu.memory >= 16Gi") ?? "", /^`host\.gpu\.memory` is not known/);
    assert.match(mismatch('host.labels[host.name] == "a"') ?? "", /not known|can't be held/);
    assert.match(mismatch("model.features.tools") ?? "", /^`model\.features\.tools` is not known/);
    assert.match(mismatch('host.zone == "a" ? true : true') ?? "", /^`host\.zone` is not known/);
  });

  it("is not met by what is no truth value, and never throws", () => {
    assert.match(mismatch("model.features.dim", { models: [{ id: "m", features: { dim: 3 } }] }) ?? "", /does not fit/);
    assert.match(mismatch("host.memory / 0 > 1", {}, rack) ?? "", /division by zero/);
    assert.match(mismatch("int(host.name) > 1") ?? "", /can't be held against/);
  });

  it("takes hardware from labels and from what the service requires until its host tells", () => {
    const labels = { zone: "attic", "gpu.memory": "8Gi", cpu: "4" };
    assert.equal(mismatch('host.gpu.memory == 8Gi && host.zone == "attic" && host.cpu == 4', { labels }), undefined);
    assert.equal(mismatch('host.gpu.memory == 24Gi && host.zone == "rack1"', { labels }, rack), undefined);
    assert.match(mismatch("host.gpu.memory > 1", { labels: { "gpu.memory": "lots" } }) ?? "", /not known/);
  });

  const refused: readonly [string, RegExp][] = [
    ['host.zoen == "a"', /unknown name 'host\.zoen'; did you mean 'host\.zone'\?\n {4}host\.zoen == "a"\n {9}\^{4}$/],
    ["host.memory > 16Gi && hots.cpu > 1", /did you mean 'host'\?\n.*\n {26}\^{4}$/],
    ['host.gpu.colour == "a"', /there are memory, count, name, compute_capability/],
    ["host.memory >= 16GX", /'16GX' is no quantity: the units are/],
    ["host.memory", /must be true or false, and this is of type int/],
    ["host.gpu", /must be true or false, and this is a group of values/],
    ["host.memory > 1Gi && service + 1 == 2", /no such overload: string \+ int\n.*\n {25}\^{11}$/],
    ['service = "a"', /unexpected character: =/],
    ["service ==", /unexpected token/],
    ['service.matches("(a+)+$")', /no such function: matches; there are contains, /],
    ['service.startsWith(service.matches("a") ? "a" : "b")', /no such function: matches/],
    ['size(service.split("a")) > 1', /no such function: split/],
    ['host.labels.exists(k, k == "a")', /no such function: exists/],
    ['service.startWith("a")', /did you mean 'startsWith'\?/],
    [`service == "a"${" || true".repeat(100)} && ${"(".repeat(40)}true${")".repeat(40)}`, /exceeded max/i],
    [`1${"+1".repeat(200)} > 1`, /exceeded max/i],
    [`service == "${"a".repeat(1100)}"`, /at most 1024 characters/],
  ];
  for (const [source, message] of refused) {
    it(`is refused: ${source.slice(0, 50)}`, () => assert.match(refusal(source), message));
  }
});
