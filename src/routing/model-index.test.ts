import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { makeRecord, makeSnapshot } from "../../test/support/records.ts";
import { indexModels, type ModelIndex, OfferHistory } from "./model-index.ts";

const modelSets = [
  [{ id: "m" }],
  [{ id: "m", aliases: ["big"] }, { id: "n" }],
  [{ id: "n", aliases: ["m"] }],
  [{ id: "n" }, { id: "n", aliases: ["twice"] }],
];
/** Records of which each object is made once, so that a snapshot can have one again that it had before. */
const pool = ["a", "b", "c", "d"].flatMap((instance) => modelSets.map((models) => makeRecord({ instance, models })));
const fleet = fc
  .uniqueArray(fc.constantFrom(...pool), { selector: ({ instance }) => instance })
  .map((records) => makeSnapshot(records));

const contents = (index: ModelIndex) =>
  new Map([...index.offers].map(([name, offers]) => [name, offers.map(({ key, model }) => `${key} ${model.id}`)]));

describe("the index of models", () => {
  it("is the same after any number of changes as one made anew, and says which names left", () => {
    fc.assert(
      fc.property(fleet, fc.array(fleet, { maxLength: 8 }), (first, later) => {
        const index = indexModels(first);
        for (const snapshot of later) {
          const before = new Set(index.offers.keys());
          const departed = index.follow(snapshot);
          assert.deepEqual(contents(index), contents(indexModels(snapshot)));
          assert.deepEqual(new Set(departed), before.difference(new Set(index.offers.keys())));
          assert.equal(index.snapshot, snapshot);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("rebuilds itself when most of the fleet is another", () => {
    const many = (note: string, models: readonly { id: string }[]) =>
      makeSnapshot(
        Array.from({ length: 400 }, (_, at) => makeRecord({ instance: `i${at}`, labels: { note }, models })),
      );
    const index = indexModels(many("old", [{ id: "m" }, { id: "gone" }]));
    const history = index.historyOf("m");
    assert.deepEqual(index.follow(many("new", [{ id: "m" }])), ["gone"]);
    assert.equal(index.offers.get("m")?.length, 400);
    assert.ok(index.offers.get("m")?.every(({ record }) => record.labels.note === "new"));
    assert.notEqual(index.historyOf("m"), history, "who followed must look at everything again");
  });

  it("tells what has changed under a name", () => {
    const [one, other] = [makeRecord({ instance: "a" }), makeRecord({ instance: "b" })];
    const index = indexModels(makeSnapshot([one]));
    const history = index.historyOf("m");
    const { version } = history;
    index.follow(makeSnapshot([other]));
    assert.deepEqual(
      history.since(version)?.map(({ offer, isNew }) => [offer.record, isNew]),
      [
        [one, false],
        [other, true],
      ],
    );
    assert.deepEqual(history.since(history.version), []);
  });
});

describe("a history", () => {
  it("forgets what is long ago, and says so", () => {
    const history = new OfferHistory();
    const [offer] = indexModels(makeSnapshot([makeRecord()])).offers.get("m") ?? [];
    assert.ok(offer !== undefined);
    for (let step = 0; step < 1_000; step++) history.note({ offer, isNew: true });
    assert.equal(history.version, 1_000);
    assert.equal(history.since(0), undefined);
    assert.equal(history.since(990)?.length, 10);
  });
});
