import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type PlanSetting, planArguments } from "../../test/support/plan.ts";
import { makeRecord, makeSnapshot } from "../../test/support/records.ts";
import { indexModels } from "./model-index.ts";
import { explainPlan, planRoute } from "./plan-route.ts";
import type { InstanceCondition, RoutePlan, RouteRequest } from "./route-plan.ts";

const states = ["loaded", "loading", "available"] as const;
const model = fc.record({
  id: fc.constantFrom("m", "m:latest", "n"),
  aliases: fc.constantFrom<string[][]>([], ["m"], ["x"]),
  state: fc.constantFrom(...states),
  context_window: fc.constantFrom(null, 1_000, 8_000),
  features: fc.constantFrom<Record<string, boolean>[]>({}, { tools: true }, { tools: false }),
  size_bytes: fc.constantFrom(null, 1e9, 5e10),
});

const recordOptions = fc.record({
  service: fc.constantFrom("a", "b", "c"),
  instance: fc.integer({ min: 0, max: 99 }).map((at) => `i${at}`),
  host: fc.constantFrom("h1", "h2", "h3"),
  state: fc.constantFrom("ready", "ready", "ready", "starting", "draining", "failed"),
  labels: fc.constantFrom<Record<string, string>[]>(
    {},
    { zone: "eu" },
    { zone: "us" },
    { "nexus.paid": "true", zone: "eu" },
  ),
  maxConcurrency: fc.constantFrom(null, 1, 4, 16),
  operations: fc.constantFrom(
    ["chat.completions.create", "embeddings.create"],
    ["chat.completions.create"],
    ["embeddings.create"],
  ),
  models: fc.uniqueArray(model, { minLength: 1, maxLength: 2, selector: ({ id }) => id }),
});

/** A fleet in which each instance is once; up to twice as many as a plan lists. */
const fleet = fc.uniqueArray(recordOptions, {
  maxLength: 130,
  selector: ({ service, instance }) => `${service}/${instance}`,
});

const condition: fc.Arbitrary<InstanceCondition> = fc.record({
  unready: fc.constantFrom(undefined, undefined, undefined, "gone"),
  ejected: fc.constantFrom(undefined, undefined, undefined, "failed"),
  limited: fc.constantFrom(undefined, undefined, undefined, "429"),
  inFlight: fc.nat(20),
  penalty: fc.constantFrom(0, 0, 0.5, 3),
  full: fc.boolean(),
});

const routes = fc.constantFrom<NonNullable<PlanSetting["routes"]>[]>(
  [],
  [{ model: "m", residency: ["eu"] }],
  [
    {
      model: "*",
      allowPaid: true,
      candidates: [{ service: "a" }, { where: 'host.zone == "eu"', tier: 1 }, { tier: 2, weight: 3 }],
    },
  ],
  [{ model: "m", candidates: [{ model: "n" }, { service: "b", tier: 3 }], where: 'host.name != "h2"' }],
  [
    {
      model: "m*",
      candidates: [{ tier: 0 }, { service: "c", tier: 1 }],
      overflow: { afterMs: 1_000 },
      prefixAffinity: false,
    },
  ],
);

const request: fc.Arbitrary<Partial<RouteRequest>> = fc.record({
  model: fc.constantFrom("m", "m", "x", "n", "none"),
  ways: fc.constantFrom(undefined, ["embeddings.create", "chat.completions.create"]),
  needs: fc.constantFrom({}, { tools: true }),
  contextTokens: fc.constantFrom(undefined, { atLeast: 4_000, source: "counted" }),
  prefixHash: fc.option(fc.nat(), { nil: undefined }),
  isAllowed: fc.constantFrom(
    undefined,
    (name: string) => name === "m",
    (name: string) => name === "m:latest",
  ),
  turn: fc.nat(1_000_000),
});

const drained = fc.constantFrom(
  [],
  [{ kind: "host", name: "h1", reason: "", since: "2026-01-01T00:00:00Z" }] as const,
  [{ kind: "service", name: "a", reason: "full", since: "2026-01-01T00:00:00Z" }] as const,
);

const setting = fc.record({
  records: fleet,
  request,
  routes,
  conditions: fc.array(condition, { minLength: 1, maxLength: 40 }),
  waits: fc.array(fc.constantFrom(0, 0, 500, 20_000), { minLength: 1, maxLength: 9 }),
  drained,
  stale: fc.boolean(),
});
type Setting = typeof setting extends fc.Arbitrary<infer S> ? S : never;

/** What is asked for a setting. Conditions are dealt out over the instances. */
function questionOf({ records, conditions, waits, drained: drains, stale, ...rest }: Setting) {
  const snapshot = { policy: { drained: [...drains] }, stale };
  const byKey = new Map(records.map(({ service, instance }, at) => [`${service}/${instance}`, at]));
  const dealt = <T>(list: readonly T[], key: string) => list[(byKey.get(key) ?? 0) % list.length] as T;
  const [asked, context] = planArguments({ records, snapshot, ...rest });
  const conditionOf = (key: string) => dealt(conditions, key);
  return [asked, { ...context, conditionOf, waitMsOf: (key: string) => dealt(waits, key) }] as const;
}

/** A plan without what can't be compared. */
function shown({ model: name, route, candidates, rejected, omitted, failure }: RoutePlan) {
  const listed = candidates.map(({ key, model: { id }, operationId, group, lastResort, why }) => ({
    key,
    id,
    operationId,
    group,
    lastResort,
    why,
  }));
  return { name, route: route?.name, listed, rejected, omitted, failure };
}

function check(holds: (...question: ReturnType<typeof questionOf>) => void): void {
  fc.assert(
    fc.property(setting, (asked) => holds(...questionOf(asked))),
    { numRuns: 150 },
  );
}

// proves: routing.reasons
describe("every plan", () => {
  it("is the same for the same question, and for an index that came there step by step", () => {
    fc.assert(
      fc.property(setting, fleet, fleet, (asked, ...before) => {
        const [demand, context] = questionOf(asked);
        const plan = shown(planRoute(demand, context));
        assert.deepEqual(shown(planRoute(demand, context)), plan);
        const index = indexModels(makeSnapshot((before[0] ?? []).map(makeRecord)));
        const steps = [makeSnapshot((before[1] ?? []).map(makeRecord)), context.index.snapshot];
        for (const snapshot of steps) {
          planRoute(demand, { ...context, index });
          index.follow(snapshot);
        }
        // Names that are equally close to an unknown one are hinted at in any order.
        const again = shown(planRoute(demand, { ...context, index }));
        assert.deepEqual({ ...again, failure: again.failure?.code }, { ...plan, failure: plan.failure?.code });
      }),
      { numRuns: 150 },
    );
  });

  it("has only candidates that can serve, and says which error it is when there are none", () => {
    check((demand, context) => {
      const { candidates, failure } = planRoute(demand, context);
      assert.equal(failure === undefined, candidates.length > 0);
      const { drained: drains } = context.index.snapshot.policy;
      for (const { key, record, model: offered, operationId, endpoint, lastResort } of candidates) {
        const seen = context.conditionOf(key);
        assert.equal(seen.unready, undefined);
        assert.equal(seen.ejected !== undefined || seen.limited !== undefined, lastResort);
        assert.ok(record.state === "ready" || (context.index.snapshot.stale && record.state !== "draining"));
        assert.ok(
          (demand.ways ?? [demand.operation.id]).includes(operationId) && endpoint.operation_id === operationId,
        );
        assert.ok(!demand.needs.tools || offered.features.tools !== false);
        assert.ok((offered.context_window ?? Infinity) >= (demand.contextTokens?.atLeast ?? 0));
        assert.ok(drains.every(({ kind, name }) => (kind === "host" ? record.host : record.service) !== name));
        assert.ok(demand.isAllowed === undefined || demand.isAllowed(demand.model) || demand.isAllowed(offered.id));
      }
    });
  });

  it("accounts for every offer once", () => {
    check((demand, context) => {
      for (const plan of [planRoute(demand, context), explainPlan(demand, context)]) {
        const listed = plan.candidates.map(({ key, model: { id } }) => `${key} ${id}`);
        assert.equal(new Set(listed).size, listed.length);
        if (plan.candidates.some(({ lastResort }) => lastResort)) continue;
        const names = new Set(plan.route?.candidates.map((candidate) => candidate.model ?? plan.model) ?? [plan.model]);
        const offers = new Set([...names].flatMap((name) => context.index.offers.get(name) ?? []));
        assert.equal(listed.length + plan.rejected.length + plan.omitted, offers.size);
      }
    });
  });

  it("explains what it left out, after what it would try first", () => {
    check((demand, context) => {
      const [plan, explained] = [planRoute(demand, context), explainPlan(demand, context)];
      assert.equal(explained.omitted, 0);
      const first = explained.candidates.slice(0, plan.candidates.length);
      assert.deepEqual(
        first.map(({ key }) => key),
        plan.candidates.map(({ key }) => key),
      );
    });
  });

  it("goes through the tiers in order, and through the groups", () => {
    check((demand, context) => {
      const { candidates, route } = planRoute(demand, context);
      for (const [at, { group, why }] of candidates.entries()) {
        const before = candidates[at - 1] ?? candidates[0];
        assert.ok(before !== undefined && before.group <= group && group <= before.group + 1);
        if (route?.overflowAfterMs === undefined) assert.ok(before.why.tier <= why.tier);
        if (before.group === group) assert.equal(before.why.tier, why.tier);
      }
    });
  });

  it("exceeds nobody's share by more than a quarter for the sake of a cache", () => {
    check((demand, context) => {
      const { candidates } = planRoute(demand, context);
      const affine = candidates.find(({ why }) => why.affinity);
      if (affine === undefined) return;
      assert.ok(demand.prefixHash !== undefined && affine.why.state === "loaded");
      const peers = candidates.filter(({ group }) => group === affine.group);
      assert.equal(peers[0], affine);
      const slots = ({ why: { limit, weight } }: (typeof peers)[number]) => limit * weight;
      const requests = peers.reduce((sum, { why }) => sum + why.inFlight, 1);
      const share = slots(affine) / peers.reduce((sum, peer) => sum + slots(peer), 0);
      // Of more instances than are listed, only some are peers: their share is then not known here.
      if (candidates.length < 64) assert.ok(affine.why.inFlight + 1 <= Math.ceil(1.25 * requests * share));
    });
  });
});
