import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { candidateKeys, type PlanSetting, planArguments, planOf, rejectionReasons } from "../../test/support/plan.ts";
import { makeRecord, makeSnapshot, type RecordOptions } from "../../test/support/records.ts";
import { planRoute } from "./plan-route.ts";

const local = { service: "local" };
const cloud = { service: "cloud", labels: { "nexus.paid": "true" } };
const tiers = [{ model: "m", candidates: [{ service: "local" }, { service: "cloud", tier: 1 }] }];

describe("a route", () => {
  it("says who may serve a model: the first candidate that fits an instance counts", () => {
    const records = ["a", "b", "c"].map((instance) => ({ instance, labels: { zone: `rack-${instance}` } }));
    const routes = [
      {
        model: "m",
        candidates: [
          { where: 'host.zone == "rack-a"', tier: 1 },
          { where: 'host.zone != "rack-c"', tier: 2, weight: 3 },
        ],
      },
    ];
    const { candidates, rejected, route } = planOf({ records, routes });
    assert.equal(route?.name, "m");
    assert.deepEqual(
      candidates.map(({ key, why }) => [key, why.tier, why.weight]),
      [
        ["chat/a", 1, 1],
        ["chat/b", 2, 3],
      ],
    );
    assert.deepEqual(rejected, [
      {
        key: "chat/c",
        reason: "route",
        text: 'does not fit `host.zone == "rack-a"`; does not fit `host.zone != "rack-c"`',
      },
    ]);
  });

  it("names a service, or one server by the name under which it is attached", () => {
    const records = [
      { service: "openai-compatible", instance: "desk" },
      { service: "openai-compatible", instance: "rack" },
      { service: "desk", instance: "llm-1" },
    ];
    const named = (service: string) => [{ model: "m", candidates: [{ service }] }];
    assert.deepEqual(candidateKeys({ records, routes: named("rack") }), ["openai-compatible/rack"]);
    assert.deepEqual(candidateKeys({ records, routes: named("desk") }).sort(), [
      "desk/llm-1",
      "openai-compatible/desk",
    ]);
    assert.equal(candidateKeys({ records, routes: named("openai-compatible") }).length, 2);
    const where = [{ model: "m", where: 'instance.name == "rack"' }];
    assert.deepEqual(candidateKeys({ records, routes: where }), ["openai-compatible/rack"]);
  });

  it("allows what costs money by the name of its service or of the server, and nothing beside it", () => {
    const labels = { "nexus.paid": "true" };
    const records = [
      { service: "openai-compatible", instance: "dear", labels },
      { service: "openai-compatible", instance: "other", labels },
    ];
    const keys = (...candidates: object[]) => candidateKeys({ records, routes: [{ model: "m", candidates }] });
    assert.deepEqual(keys({ service: "dear" }), ["openai-compatible/dear"]);
    assert.deepEqual(keys({ service: "dear" }, {}), ["openai-compatible/dear"]);
    assert.deepEqual(keys({ where: 'instance.name == "dear"' }), []);
    assert.equal(keys({ service: "openai-compatible" }).length, 2);
  });

  it("decides the tier where it says one, else the server's own holds", () => {
    const at = (instance: string, tier?: string): RecordOptions =>
      tier === undefined ? { instance } : { instance, labels: { "nexus.tier": tier } };
    const records = [at("a", "2"), at("b"), at("c", "1"), at("d", "high"), at("e", "101")];
    const tiersOf = (routes?: PlanSetting["routes"]) =>
      planOf({ records, ...(routes === undefined ? {} : { routes }) })
        .candidates.map(({ key, why }) => `${key.slice(-1)}${why.tier}`)
        .sort();
    assert.deepEqual(tiersOf(), ["a2", "b0", "c1", "d0", "e0"]);
    assert.deepEqual(candidateKeys({ records: [at("a", "2"), at("b"), at("c", "1")] }), ["chat/b", "chat/c", "chat/a"]);
    const routes = [{ model: "m", candidates: [{ service: "a", tier: 0 }, { service: "c" }, { tier: 3 }] }];
    assert.deepEqual(tiersOf(routes), ["a0", "b3", "c1", "d3", "e3"]);
  });

  it("leads to another model, through the operator's aliases", () => {
    const records = [{ models: [{ id: "llama3" }] }, { service: "other", models: [{ id: "m" }] }];
    const setting: PlanSetting = { records, routes: [{ model: "gpt-*", candidates: [{ model: "best" }] }] };
    const { candidates, model } = planOf({ ...setting, request: { model: "gpt-4o" }, aliases: { best: "llama3" } });
    assert.deepEqual(
      candidates.map(({ key, model: { id } }) => [key, id]),
      [["chat/one", "llama3"]],
    );
    assert.equal(model, "gpt-4o");
    const { failure } = planOf({ ...setting, request: { model: "gpt-4o" } });
    assert.equal(failure?.code, "model_not_found");
    assert.match(failure?.message ?? "", /'gpt-4o': its route leads to 'best'/);
  });

  it("offers an instance once, by whatever names it is led to", () => {
    const records = [{ models: [{ id: "llama3:latest", aliases: ["llama3"] }] }];
    const routes = [{ model: "x", candidates: [{ model: "llama3", service: "none" }, { model: "llama3:latest" }] }];
    assert.deepEqual(candidateKeys({ records, routes, request: { model: "x" } }), ["chat/one"]);
  });

  it("leads to a model that appears later", () => {
    const [request, context] = planArguments({
      routes: [{ model: "m", candidates: [{}, { model: "late", tier: 1 }] }],
    });
    const late = makeRecord({ service: "late", models: [{ id: "late" }] });
    const keys = () => planRoute(request, context).candidates.map(({ key }) => key);
    assert.deepEqual(keys(), ["chat/one"]);
    context.index.follow(makeSnapshot([makeRecord(), late]));
    assert.deepEqual(keys(), ["chat/one", "late/one"]);
    context.index.follow(makeSnapshot([late]));
    assert.deepEqual(keys(), ["late/one"]);
  });

  it("holds for every name of a model", () => {
    const records = [{ models: [{ id: "llama3:latest", aliases: ["llama3"] }], labels: { zone: "attic" } }];
    const aliases = { fast: "llama3" };
    for (const model of ["llama3", "llama3:latest", "fast"]) {
      for (const name of ["llama3", "llama3:latest", "llama3*", "*:latest"]) {
        const routes = [{ model: name, residency: ["cellar"] }];
        assert.deepEqual(
          rejectionReasons({ records, routes, aliases, request: { model } }),
          ["residency"],
          `${model} ${name}`,
        );
      }
    }
  });

  it("keeps requests in the zones that it names, as the host says, else the instance's label", () => {
    const records = [
      { instance: "a", labels: { zone: "eu" } },
      { instance: "b", labels: { zone: "us" } },
      { instance: "c" },
      { instance: "d", host: "host-2", labels: { zone: "eu" } },
    ];
    const hosts = new Map([["host-2", { zone: "us" }]]);
    const { candidates, rejected } = planOf({ records, hosts, routes: [{ model: "m", residency: ["eu", "ch"] }] });
    assert.deepEqual(
      candidates.map(({ key }) => key),
      ["chat/a"],
    );
    assert.deepEqual(
      rejected.map(({ text }) => text),
      ["us", undefined, "us"].map(
        (zone) =>
          `${zone === undefined ? "nobody says where it is" : `is in ${zone}`}, and the route allows only eu, ch`,
      ),
    );
  });

  it("is held against what hosts and the fleet are by now, however much has changed since", () => {
    const [request, context] = planArguments({ records: [{}], routes: [{ model: "m", where: 'host.zone == "eu"' }] });
    const plan = (zone: string) =>
      planRoute(request, { ...context, hosts: new Map([["host-1", { zone }]]) }).candidates.map(({ key }) => key);
    assert.deepEqual(plan("eu"), ["chat/one"]);
    assert.deepEqual(plan("us"), []);
    assert.deepEqual(plan("eu"), ["chat/one"]);
    const hosts = new Map([["host-1", { zone: "eu" }]]);
    const count = () => planRoute(request, { ...context, hosts }).candidates.length;
    assert.equal(count(), 1);
    for (let step = 0; step < 300; step++) {
      const state = step < 299 ? "ready" : "failed";
      context.index.follow(makeSnapshot([makeRecord({ state, labels: { step: `${step}` } })]));
    }
    assert.equal(count(), 0);
  });

  it("uses what costs money only where it says so", () => {
    const records = [cloud];
    assert.deepEqual(rejectionReasons({ records }), ["paid"]);
    assert.deepEqual(rejectionReasons({ records, routes: [{ model: "m" }] }), ["paid"]);
    assert.deepEqual(
      rejectionReasons({ records, routes: [{ model: "m", candidates: [{ where: 'service == "cloud"' }] }] }),
      ["paid"],
    );
    assert.deepEqual(candidateKeys({ records, routes: [{ model: "m", candidates: [{ service: "cloud" }] }] }), [
      "cloud/one",
    ]);
    assert.deepEqual(candidateKeys({ records, routes: [{ model: "*", allowPaid: true }] }), ["cloud/one"]);
    assert.match(planOf({ records }).failure?.message ?? "", /cost money/);
  });
});

// proves: routing.tiers
describe("tiers", () => {
  const records = [cloud, local];

  it("go from the lowest to the highest, each in a group of its own", () => {
    const { candidates } = planOf({
      records,
      routes: tiers,
      conditions: { "local/one": { inFlight: 50, penalty: 9 } },
    });
    assert.deepEqual(
      candidates.map(({ key, group }) => [key, group]),
      [
        ["local/one", 0],
        ["cloud/one", 1],
      ],
    );
  });

  it("use the higher one when none of the lower can serve, and prefer it to one that is left out for a while", () => {
    for (const condition of [{ unready: "gone" }, { ejected: "failed" }, { limited: "429" }]) {
      assert.deepEqual(candidateKeys({ records, routes: tiers, conditions: { "local/one": condition } }), [
        "cloud/one",
      ]);
    }
  });

  it("wait for a full one, unless the route says for how long", () => {
    const conditions = { "local/one": { inFlight: 8, full: true } };
    const waitMsOf = (key: string) => (key === "local/one" ? 4_000 : 0);
    const overflow = (afterMs: number) => [{ ...tiers[0], model: "m", overflow: { afterMs } }];
    assert.equal(candidateKeys({ records, conditions, waitMsOf, routes: tiers })[0], "local/one");
    assert.equal(candidateKeys({ records, conditions, waitMsOf, routes: overflow(4_000) })[0], "local/one");
    assert.deepEqual(candidateKeys({ records, conditions, waitMsOf, routes: overflow(3_999) }), [
      "cloud/one",
      "local/one",
    ]);
  });
});
