import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  candidateKeys as keys,
  type PlanSetting,
  planOf as plan,
  planArguments,
  rejectionReasons as reasons,
} from "../../test/support/plan.ts";
import { operationById } from "../contract/operations.ts";
import { planRoute } from "./plan-route.ts";
import type { RouteRequest } from "./route-plan.ts";

const two = [{ instance: "a" }, { instance: "b" }];
const since = "2026-01-01T00:00:00Z";

const codes: Readonly<Record<string, string>> = {
  operation: "unsupported_feature",
  feature: "unsupported_feature",
  context: "context_length_exceeded",
  key: "permission_denied",
  paid: "permission_denied",
};

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

  it("believes what was proven more than what is declared", () => {
    const evidence = { m: { tools: { grade: "proven" as const, reason: "called one", at: since } } };
    const records = [{ models: [{ id: "m", features: { tools: false } }], evidence }];
    assert.deepEqual(keys({ records, request: { needs: { tools: true } } }), ["chat/one"]);
  });

  const rejections: readonly [string, PlanSetting, string][] = [
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
    [
      "one whose context window is too small",
      {
        records: [{ models: [{ id: "m", context_window: 4096 }] }],
        request: { contextTokens: { atLeast: 5000, source: "counted" } },
      },
      "context",
    ],
    ["one that the key may not use", { request: { isAllowed: (name) => name === "other" } }, "key"],
    ["one that costs money", { records: [{ labels: { "nexus.paid": "true" } }] }, "paid"],
    ["one whose probe fails", { conditions: { "chat/one": { unready: "refuses connections" } } }, "unready"],
  ];
  for (const [title, setting, reason] of rejections) {
    it(`leaves out ${title} and says so`, () => {
      assert.deepEqual(keys(setting), []);
      assert.deepEqual(reasons(setting), [reason]);
      const wanted = codes[reason] ?? "no_instance_available";
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
    const setting: PlanSetting = { records: [{ state: "failed" }], snapshot: { stale: true } };
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

  it("asks each instance for the first of the request's ways that it offers", () => {
    const records = [
      { instance: "a", operations: ["chat.completions.create"] },
      { instance: "b", operations: ["chat.completions.create", "completions.create"] },
    ];
    const request = { ways: ["completions.create", "chat.completions.create"] };
    const asked = plan({ records, request }).candidates.map(({ key, endpoint }) => [key, endpoint.operation_id]);
    assert.deepEqual(asked, [
      ["chat/b", "completions.create"],
      ["chat/a", "chat.completions.create"],
    ]);
    assert.deepEqual(
      plan({ records, request: { ways: ["completions.create"] } }).candidates[0]?.operationId,
      "completions.create",
    );
    assert.deepEqual(keys({ records, request: { ways: ["embeddings.create"] } }), []);
  });

  it("lets a prompt through whose size or whose model's window is not known to be wrong", () => {
    const contextTokens = { atLeast: 5000, source: "counted" };
    const records = [
      { instance: "unknown" },
      { instance: "exact", models: [{ id: "m", context_window: 5000 }] },
      { instance: "small", models: [{ id: "m", context_window: 4999 }] },
    ];
    assert.deepEqual(new Set(keys({ records, request: { contextTokens } })), new Set(["chat/unknown", "chat/exact"]));
    const { failure } = plan({ records: [records[2] ?? {}], request: { contextTokens } });
    assert.match(failure?.message ?? "", /at least 5000 tokens \(counted\), and the model takes 4999/);
  });

  it("lets a key use a model by any of its names, and tells it of none that it may not use", () => {
    const records = [{ models: [{ id: "m:latest", aliases: ["m"] }] }, { service: "other", models: [{ id: "m-xl" }] }];
    const only = (allowed: string) => ({ isAllowed: (name: string) => name === allowed });
    assert.deepEqual(keys({ records, request: only("m") }), ["chat/one"]);
    assert.deepEqual(keys({ records, request: only("m:latest") }), ["chat/one"]);
    assert.deepEqual(keys({ records, aliases: { x: "m" }, request: { model: "x", ...only("x") } }), ["chat/one"]);
    assert.deepEqual(keys({ records, aliases: { x: "m" }, request: { model: "x", ...only("m") } }), ["chat/one"]);
    const unknown = plan({ records, request: { model: "m-latest", ...only("m:latest") } }).failure?.message ?? "";
    assert.match(unknown, /'m:latest'/);
    assert.doesNotMatch(unknown, /'m-xl'|'m'/);
  });

  it("leaves one alone that asked for it, unless it is the last one", () => {
    const conditions = { "chat/a": { limited: "answered 429" } };
    assert.deepEqual(keys({ records: two, conditions }), ["chat/b"]);
    assert.deepEqual(keys({ records: [{ instance: "a" }], conditions }), ["chat/a"]);
  });

  it("tells clients nothing of the operator's rules", () => {
    const routes = [{ model: "m", where: 'host.zone == "vault"' }];
    const { failure, rejected } = plan({ routes });
    assert.equal(failure?.code, "no_instance_available");
    assert.doesNotMatch(failure?.message ?? "", /vault|zone/);
    assert.match(rejected[0]?.text ?? "", /`host\.zone` is not known/);
  });

  it("answers each question of one fleet by itself", () => {
    const records = [{ operations: ["chat.completions.create"], models: [{ id: "m", features: { tools: false } }] }];
    const [request, context] = planArguments({ records });
    const codeOf = (change: Partial<RouteRequest>) => planRoute({ ...request, ...change }, context).failure?.code;
    for (let round = 0; round < 2; round++) {
      assert.equal(codeOf({}), undefined);
      assert.equal(codeOf({ needs: { tools: true } }), "unsupported_feature");
      assert.equal(codeOf({ needs: { tools: false, vision: true } }), undefined);
      assert.equal(codeOf({ ways: ["completions.create"] }), "unsupported_feature");
      assert.equal(codeOf({ operation: operationById("embeddings.create") }), "unsupported_feature");
      assert.equal(codeOf({ model: "other" }), "model_not_found");
    }
  });

  it("lists every candidate with what decided its place", () => {
    const records = [{ maxConcurrency: 4, models: [{ id: "m", state: "available" as const, size_bytes: 1e9 }] }];
    const conditions = { "chat/one": { inFlight: 1, penalty: 1 } };
    assert.deepEqual(plan({ records, conditions, request: { needs: { tools: true } } }).candidates[0]?.why, {
      tier: 0,
      weight: 1,
      unknownFeatures: 1,
      state: "available",
      coldStartMs: 3000,
      waitMs: 0,
      inFlight: 1,
      limit: 4,
      penalty: 1,
      full: false,
      load: 1,
      affinity: false,
    });
  });
});
