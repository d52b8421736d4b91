import { operationById } from "../../src/contract/operations.ts";
import { indexModels } from "../../src/routing/model-index.ts";
import { planRoute } from "../../src/routing/plan-route.ts";
import { makeSnapshot } from "../../test/support/records.ts";
import type { PartResult } from "../results.ts";
import { fleetRecord, measure, summarise } from "./measure.ts";

/**
 * What the choice of an instance costs: `node bench/parts/routing.ts [instances ...]`. Prints one line of JSON. Every
 * instance offers `shared`, the hardest case there is, and one of a hundred other models, which is what fleets look like.
 */
const kindsOfModels = 100;
const plans = 2_000;
const warmingPlans = 2_000;
const operation = operationById("chat.completions.create");

async function measurePlans(instances: number): Promise<PartResult[]> {
  const records = Array.from({ length: instances }, (_, at) => fleetRecord(at, ["shared", `m${at % kindsOfModels}`]));
  const snapshot = makeSnapshot(records);
  const index = indexModels(snapshot);
  const inFlight = new Map(records.map(({ service, instance }, at) => [`${service}/${instance}`, at % 5]));
  const context = {
    index,
    aliases: {},
    conditionOf: (key: string) => ({ unready: undefined, ejected: undefined, inFlight: inFlight.get(key) ?? 0 }),
    wasOffered: () => false,
  };
  const plan = (model: string) => (turn: number) =>
    planRoute({ operation, model, needs: {}, turn, prefixHash: (turn * 2_654_435_761) >>> 0 }, context);
  for (const model of ["shared", "m1"]) await measure(warmingPlans, plan(model));
  const changed = makeSnapshot([fleetRecord(0, ["shared", "m0"], "changed"), ...records.slice(1)]);
  return [
    summarise("planRoute, a model that every instance offers", instances, await measure(plans, plan("shared"))),
    summarise("planRoute, one of a hundred models", instances, await measure(plans, plan("m1"))),
    summarise(
      "follow one change in the index of models",
      instances,
      await measure(20, (at) => index.follow(at % 2 === 0 ? changed : snapshot)),
    ),
  ];
}

const sizes = process.argv.slice(2).map(Number);
const results: PartResult[] = [];
for (const size of sizes.length > 0 ? sizes : [10, 100, 1_000, 10_000]) results.push(...(await measurePlans(size)));
console.log(JSON.stringify(results));
