import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeRecord, makeSnapshot, type RecordOptions } from "../../test/support/records.ts";
import { operationById } from "../contract/operations.ts";
import type { RegistrySnapshot } from "../registry/registry.ts";
import { indexModels } from "./model-index.ts";
import { planRoute } from "./plan-route.ts";
import type { InstanceCondition, RouteRequest } from "./route-plan.ts";

interface Setting {
  readonly records?: readonly RecordOptions[];
  readonly snapshot?: Partial<RegistrySnapshot>;
  readonly request?: Partial<RouteRequest>;
  readonly aliases?: Record<string, string>;
  readonly departed?: string;
  readonly conditions?: Record<string, Partial<InstanceCondition>>;
}

function plan(setting: Setting) {
  const { records = [{}], snapshot = {}, request = {}, aliases = {}, conditions = {} } = setting;
  return planRoute(
    { operation: operationById("chat.completions.create"), model: "m", needs: {}, turn: 0, ...request },
    {
      index: indexModels(makeSnapshot(records.map(makeRecord), snapshot)),
      aliases,
      wasOffered: (model) => model === setting.departed,
      conditionOf: (key) => ({ unready: undefined, ejected: undefined, inFlight: 0, ...conditions[key] }),
    },
  );
}
const keys = (setting: Setting) => plan(setting).candidates.map(({ key }) => key);
const reasons = (setting: Setting) => plan(setting).rejected.map(({ reason }) => reason);

const two = [{ instance: "a" }, { instance: "b" }];
const since = "2026-01-01T00:00:00Z";

describe("planRoute", () => {
  it("finds a model by id, by a service's alias and by the operator's alias", () => {
    const records = [{ models: [{ id: "big:latest", aliases: ["big"] }] }];
    assert.deepEqual(keys({ records, request: { model: "big:latest" } }), ["chat/one"]);
    assert.deepEqual(keys({ records, request: { model: "big" } }), ["chat/one"]);
    const aliased = plan({ records, request: { model: "gpt-4o" }, aliases: { "gpt-4o": "big" } });
    assert.equal(aliased.model, "big");
    assert.equal(aliased.candidates[0]?.model.id, "big:latest");
  });

  it("takes turns between equals", () => {
    const first = [0, 1, 2, 3].map((turn) => keys({ records: two, request: { turn } })[0]);
    assert.deepEqual(new Set(first.slice(0, 2)), new Set(["chat/a", "chat/b"]));
    assert.deepEqual(first.slice(2), first.slice(0, 2));
  });

  // proves: gateway.spreads
  it("prefers the loaded one, then the one with less load for its size", () => {
    const cold = [{ instance: "a", models: [{ id: "m", state: "available" as const }] }, { instance: "b" }];
    assert.equal(keys({ records: cold, conditions: { "chat/b": { inFlight: 7 } } })[0], "chat/b");
    const sized = [
      { instance: "a", maxConcurrency: 1 },
      { instance: "b", maxConcurrency: 10 },
    ];
    const conditions = { "chat/a": { inFlight: 1 }, "chat/b": { inFlight: 5 } };
    assert.equal(keys({ records: sized, conditions })[0], "chat/b");
  });

  it("prefers an instance that is known to have what the request needs", () => {
    const records = [{ instance: "a" }, { instance: "b", models: [{ id: "m", features: { tools: true } }] }];
    assert.deepEqual(keys({ records, request: { needs: { tools: true } } }), ["chat/b", "chat/a"]);
  });

  it("never routes to what was refuted, whatever was declared", () => {
    const evidence = { m: { tools: { grade: "refuted" as const, reason: "answered with text", at: since } } };
    const records = [{ models: [{ id: "m", features: { tools: true } }], evidence }];
    const result = plan({ records, request: { needs: { tools: true } } });
    assert.equal(result.failure?.code, "unsupported_feature");
    assert.match(result.failure?.message ?? "", /answered with text/);
    assert.deepEqual(keys({ records }), ["chat/one"]);
  });

  const rejections: readonly [string, Setting, string][] = [
    ["an operation that it does not offer", { records: [{ operations: ["embeddings.create"] }] }, "operation"],
    ["a model of another domain", { records: [{ models: [{ id: "m", domains: ["embedding"] }] }] }, "operation"],
    [
      "a feature that it says it lacks",
      { records: [{ models: [{ id: "m", features: { tools: false } }] }], request: { needs: { tools: true } } },
      "feature",
    ],
    [
      "a drained host",
      { snapshot: { policy: { drained: [{ kind: "host", name: "host-1", reason: "", since }] } } },
      "drained",
    ],
    [
      "a drained service",
      { snapshot: { policy: { drained: [{ kind: "service", name: "chat", reason: "", since }] } } },
      "drained",
    ],
    [
      "a drained instance",
      { snapshot: { policy: { drained: [{ kind: "instance", name: "chat/one", reason: "", since }] } } },
      "drained",
    ],
    ["one that is still starting", { records: [{ state: "starting" }] }, "starting"],
    ["one that its owner calls failed", { records: [{ state: "failed" }] }, "failed"],
    ["one that is leaving", { records: [{ state: "draining" }] }, "draining"],
    ["one whose probe fails", { conditions: { "chat/one": { unready: "refuses connections" } } }, "unready"],
  ];
  for (const [title, setting, reason] of rejections) {
    it(`leaves out ${title} and says so`, () => {
      assert.deepEqual(keys(setting), []);
      assert.deepEqual(reasons(setting), [reason]);
      const wanted = reason === "operation" || reason === "feature" ? "unsupported_feature" : "no_instance_available";
      assert.equal(plan(setting).failure?.code, wanted);
    });
  }

  it("leaves out an ejected instance, unless it is the last one", () => {
    const conditions = { "chat/a": { ejected: "3 failures" } };
    assert.deepEqual(keys({ records: two, conditions }), ["chat/b"]);
    const both = plan({ records: two, conditions: { ...conditions, "chat/b": { ejected: "3 failures" } } });
    assert.equal(both.candidates.length, 2);
    assert.ok(both.candidates.every(({ lastResort }) => lastResort));
  });

  it("trusts its own probes over an old record while the registry is away", () => {
    const setting: Setting = { records: [{ state: "failed" }], snapshot: { stale: true } };
    assert.deepEqual(keys(setting), ["chat/one"]);
    assert.deepEqual(keys({ ...setting, conditions: { "chat/one": { unready: "refused" } } }), []);
    assert.deepEqual(keys({ ...setting, records: [{ state: "draining" }] }), []);
  });

  it("never routes to a gateway", () => {
    assert.equal(plan({ records: [{ capabilityFeatures: ["nexus-gateway"] }] }).failure?.code, "model_not_found");
  });

  it("names close models for one that does not exist, and says what to do when there is none at all", () => {
    const records = [{ models: [{ id: "smollm2-135m-instruct" }, { id: "llama3" }] }];
    const failure = plan({ records, request: { model: "smolm2-135m-instruct" } }).failure;
    assert.equal(failure?.code, "model_not_found");
    assert.match(failure?.message ?? "", /'smollm2-135m-instruct'/);
    assert.match(plan({ records, request: { model: "smollm2" } }).failure?.message ?? "", /'smollm2-135m-instruct'/);
    assert.match(plan({ records: [] }).failure?.message ?? "", /nexus attach/);
  });

  it("asks for patience when the model was there a moment ago", () => {
    assert.equal(plan({ records: [], departed: "m" }).failure?.code, "no_instance_available");
    assert.equal(plan({ records: [], departed: "other" }).failure?.code, "model_not_found");
  });

  it("takes no model name for a property of an object", () => {
    assert.equal(plan({ request: { model: "constructor" } }).failure?.code, "model_not_found");
  });
});
