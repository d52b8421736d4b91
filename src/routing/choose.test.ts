import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { candidateKeys, type PlanSetting, planArguments, planOf } from "../../test/support/plan.ts";
import { hashText } from "./hash.ts";
import { nextGroup } from "./next-group.ts";
import { explainPlan, planRoute } from "./plan-route.ts";
import type { RouteRequest } from "./route-plan.ts";

const two = [{ instance: "a" }, { instance: "b" }];
const many = (count: number) => Array.from({ length: count }, (_, at) => ({ instance: `i${at}` }));
const first = (setting: PlanSetting) => candidateKeys(setting)[0];

/** Who is asked first, request after request of one fleet. */
function firsts(setting: PlanSetting, requests: readonly Partial<RouteRequest>[]): readonly string[] {
  const [request, context] = planArguments(setting);
  return requests.map((change) => planRoute({ ...request, ...change }, context).candidates[0]?.key ?? "");
}

const turns = (count: number, more: Partial<RouteRequest> = {}) =>
  Array.from({ length: count }, (_, turn) => ({ ...more, turn }));

describe("load", () => {
  it("is what is under way for the size, and what failed fast lately", () => {
    assert.equal(first({ records: two, conditions: { "chat/a": { inFlight: 1 } } }), "chat/b");
    assert.equal(
      first({ records: two, conditions: { "chat/a": { penalty: 3 }, "chat/b": { inFlight: 2 } } }),
      "chat/b",
    );
    assert.equal(
      first({ records: two, conditions: { "chat/a": { limit: 2 }, "chat/b": { inFlight: 2, limit: 8 } } }),
      "chat/b",
    );
    assert.equal(
      first({ records: two, conditions: { "chat/a": { full: true }, "chat/b": { inFlight: 7 } } }),
      "chat/b",
    );
  });

  it("is shared by weight", () => {
    const records = [{ service: "light" }, { service: "heavy" }];
    const routes = [{ model: "m", candidates: [{ service: "light" }, { service: "heavy", weight: 3 }] }];
    const inFlight = { light: 0, heavy: 0 };
    for (let turn = 0; turn < 40; turn++) {
      const conditions = { "light/one": { inFlight: inFlight.light }, "heavy/one": { inFlight: inFlight.heavy } };
      inFlight[first({ records, routes, conditions, request: { turn } }) === "light/one" ? "light" : "heavy"]++;
    }
    assert.deepEqual(inFlight, { light: 10, heavy: 30 });
  });

  it("does not care for the instance's limit being nothing at the moment", () => {
    const conditions = { "chat/a": { limited: "429", limit: 0 }, "chat/b": { limited: "429", limit: 0, inFlight: 1 } };
    assert.deepEqual(candidateKeys({ records: two, conditions }), ["chat/a", "chat/b"]);
  });
});

// proves: routing.cold-start
describe("a model that is not loaded", () => {
  const cold = (instance: string, state: "available" | "loading" = "available") => ({
    instance,
    host: `host-${instance}`,
    models: [{ id: "m", state, size_bytes: 5e9 }],
  });
  const records = [cold("cold"), { instance: "warm" }];
  const busy = { "chat/warm": { full: true, inFlight: 8 } };
  const waitMsOf = (waitMs: number) => (key: string) => (key === "chat/warm" ? waitMs : 0);

  it("is loaded once more when that is quicker than the queue of those that have it", () => {
    const coldStartMsOf = () => 8_000;
    assert.equal(first({ records, conditions: busy, coldStartMsOf, waitMsOf: waitMsOf(7_999) }), "chat/warm");
    assert.equal(first({ records, conditions: busy, coldStartMsOf, waitMsOf: waitMsOf(8_001) }), "chat/cold");
    assert.equal(first({ records, coldStartMsOf: () => 0 }), "chat/warm");
  });

  it("is taken to load as its size says, until it was seen", () => {
    assert.equal(first({ records, conditions: busy, waitMsOf: waitMsOf(10_000) }), "chat/warm");
    assert.equal(first({ records, conditions: busy, waitMsOf: waitMsOf(12_000) }), "chat/cold");
  });

  it("is waited for where it is being loaded, then asked for where it loads in half the time", () => {
    const coldStartMsOf = (_: string, host: string) => (host === "host-fast" ? 2_000 : 9_000);
    const fleet = [cold("slow"), cold("fast"), cold("busy", "loading")];
    assert.deepEqual(candidateKeys({ records: fleet, coldStartMsOf }), ["chat/busy", "chat/fast", "chat/slow"]);
  });
});

// proves: routing.affinity
describe("requests that begin alike", () => {
  const prefix = (text: string) => ({ request: { prefixHash: hashText(text) } });
  const homes = (setting: PlanSetting) =>
    firsts(
      setting,
      turns(400).map(({ turn }) => ({ turn, prefixHash: hashText(`prompt ${turn}`) })),
    );

  it("go to the same instance, whoever's turn it is", () => {
    const chosen = firsts({ records: many(8) }, turns(20, { prefixHash: hashText("you are") }));
    assert.equal(new Set(chosen).size, 1);
    const { candidates } = planOf({ records: many(8), ...prefix("you are") });
    assert.deepEqual(candidates.map(({ why }) => why.affinity).lastIndexOf(true), 0);
  });

  it("stay where they are when an instance comes, but for its own share", () => {
    const [before, after] = [homes({ records: many(4) }), homes({ records: many(5) })];
    const moved = before.filter((key, at) => after[at] !== key).length;
    assert.ok(before.every((key, at) => after[at] === key || after[at] === "chat/i4"));
    assert.ok(moved > 40 && moved < 130, `${moved} of 400 moved, a fifth was due`);
  });

  it("are spread by size", () => {
    const records = [
      { instance: "a", maxConcurrency: 4 },
      { instance: "b", maxConcurrency: 12 },
    ];
    const share = homes({ records }).filter((key) => key === "chat/b").length / 400;
    assert.ok(share > 0.68 && share < 0.82, `${share} of them went to three quarters of the slots`);
  });

  it("leave an instance that has a quarter more than its share, is full or fails fast", () => {
    const home = first({ records: two, ...prefix("x") }) ?? "";
    const elsewhere = home === "chat/a" ? "chat/b" : "chat/a";
    const asked = (condition: object, other = {}) =>
      first({ records: two, conditions: { [home]: condition, [elsewhere]: other }, ...prefix("x") });
    assert.equal(asked({ inFlight: 4 }, { inFlight: 3 }), home, "ceil(1.25 x 8 / 2) = 5");
    assert.equal(asked({ inFlight: 5 }, { inFlight: 2 }), elsewhere);
    assert.equal(asked({ full: true }), elsewhere);
    assert.equal(asked({ penalty: 1 }), elsewhere);
    assert.equal(asked({ ejected: "failed" }), elsewhere);
  });

  it("take turns where the route says so", () => {
    const routes = [{ model: "m", prefixAffinity: false }];
    const chosen = firsts({ records: two, routes }, turns(2, { prefixHash: 7 }));
    assert.equal(new Set(chosen).size, 2);
  });
});

describe("many instances", () => {
  it("are compared in part, from a place that changes with each request, and all get their turn", () => {
    const chosen = new Set(firsts({ records: many(150) }, turns(3_000)));
    assert.ok(chosen.size > 140, `${chosen.size} of 150 were chosen`);
    const { candidates, omitted } = planOf({ records: many(300) });
    assert.ok(candidates.length >= 10 && candidates.length <= 64, `${candidates.length}`);
    assert.equal(omitted, 300 - candidates.length);
    const explained = explainPlan(...planArguments({ records: many(300) }));
    assert.equal(new Set(explained.candidates.map(({ key }) => key)).size, 300);
    assert.equal(explained.candidates.length, 300);
  });

  it("are all looked at for one that works", () => {
    const conditions = Object.fromEntries(many(299).map(({ instance }) => [`chat/${instance}`, { unready: "gone" }]));
    for (const turn of [0, 1, 2, 3]) {
      const { candidates, rejected, omitted } = planOf({ records: many(300), conditions, request: { turn } });
      assert.deepEqual(
        candidates.map(({ key }) => key),
        ["chat/i299"],
      );
      assert.equal(rejected.length, 64);
      assert.equal(omitted, 300 - 65);
    }
  });

  it("are looked at further while those that were seen are full", () => {
    const records = many(300);
    const free = new Set(["chat/i7", "chat/i150"]);
    const conditions = Object.fromEntries(
      records.map(({ instance }) => [`chat/${instance}`, { full: !free.has(`chat/${instance}`) }]),
    );
    const chosen = firsts({ records, conditions }, turns(300)).filter((key) => free.has(key));
    // Each window of 64 has one of the two with a chance of 38 %; one of 16 would have it with 10 %.
    assert.ok(chosen.length > 70, `${chosen.length} of 300`);
  });

  it("with long queues are weighed against one that loads quickly", () => {
    const cold = { instance: "cold", models: [{ id: "m", state: "available" as const }] };
    const waitMsOf = (key: string) => (key === "chat/cold" ? 0 : 9_000);
    assert.equal(first({ records: [...many(100), cold], waitMsOf, coldStartMsOf: () => 5_000 }), "chat/cold");
  });

  it("send what begins alike to the same one", () => {
    const chosen = firsts({ records: many(300) }, turns(4, { prefixHash: hashText("x") }));
    assert.equal(new Set(chosen).size, 1);
  });
});

describe("the next group", () => {
  const { candidates } = planOf({
    records: [{ service: "a" }, { service: "a", instance: "two" }, { service: "b" }],
    routes: [{ model: "m", candidates: [{ service: "a" }, { service: "b", tier: 1 }] }],
  });
  const left = (...tried: readonly string[]) =>
    nextGroup(candidates, new Set(tried))
      .map(({ key }) => key)
      .sort();

  it("is what is left of the first one, then the one after it", () => {
    assert.deepEqual(left(), ["a/one", "a/two"]);
    assert.deepEqual(left("a/two"), ["a/one"]);
    assert.deepEqual(left("a/two", "a/one"), ["b/one"]);
    assert.deepEqual(left("a/two", "a/one", "b/one"), []);
  });
});
