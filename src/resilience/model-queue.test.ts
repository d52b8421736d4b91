import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type AdmissionClass, ModelQueue, type Queued } from "./model-queue.ts";

interface Named extends Queued {
  readonly name: string;
}

let made = 0;
const waiter = (name: AdmissionClass, tenant = "t", isRetry = false): Named => ({
  class: name,
  tenant,
  kind: "",
  isRetry,
  name: `${name} of ${tenant} ${made++}`,
});

/** A queue with so many of each. */
function queueOf(counts: Partial<Record<AdmissionClass, Record<string, number>>>): ModelQueue<Named> {
  const queue = new ModelQueue<Named>();
  for (const [name, tenants] of Object.entries(counts)) {
    for (const [tenant, count] of Object.entries(tenants)) {
      for (let i = 0; i < count; i++) queue.join(waiter(name as AdmissionClass, tenant));
    }
  }
  return queue;
}

describe("ModelQueue: who is before a newcomer", () => {
  const queue = queueOf({ interactive: { s: 20 }, default: { loud: 6, quiet: 1 }, batch: { b: 3 } });

  it("counts turns: of other tenants as many as one's own, of interactive ones four for each of default", () => {
    assert.equal(queue.ahead(waiter("default", "new")), 2 + 12);
    assert.equal(queue.ahead(waiter("default", "quiet")), 1 + 2 + 16);
    assert.equal(queue.ahead(waiter("default", "loud")), 6 + 1 + 20);
    assert.equal(queue.ahead(waiter("interactive", "new")), 1);
    assert.equal(queue.ahead(waiter("interactive", "s")), 20 + 5);
    assert.equal(queue.ahead(waiter("batch", "b")), 3 + 27);
  });

  it("counts none of a retry's own class", () => {
    assert.equal(queue.ahead(waiter("interactive", "s", true)), 0);
  });
});

describe("ModelQueue: who makes room", () => {
  const last = (queue: ModelQueue<Named>, newcomer: Named) => queue.lastBehind(newcomer)?.name.replace(/ \d+$/, "");

  it("takes a batch request first, whoever else comes", () => {
    const queue = queueOf({ interactive: { s: 2 }, batch: { b: 1, c: 2 } });
    assert.equal(last(queue, waiter("default")), "batch of c");
    assert.equal(last(queue, waiter("interactive")), "batch of c");
    assert.equal(last(queue, waiter("batch", "b")), undefined);
    assert.equal(last(queue, waiter("batch", "d")), "batch of c");
  });

  it("keeps a fifth of the places for default", () => {
    assert.equal(last(queueOf({ interactive: { s: 9 }, default: { t: 1 } }), waiter("default")), "interactive of s");
    assert.equal(last(queueOf({ interactive: { s: 8 }, default: { t: 2 } }), waiter("default", "t")), undefined);
    assert.equal(
      last(queueOf({ interactive: { s: 8 }, default: { t: 2 } }), waiter("interactive", "s")),
      "default of t",
    );
    assert.equal(last(queueOf({ interactive: { s: 9 }, default: { t: 1 } }), waiter("interactive", "s")), undefined);
  });

  it("takes from the tenant that has more waiting than the newcomer's would have", () => {
    const queue = queueOf({ default: { loud: 3, quiet: 1 } });
    assert.equal(last(queue, waiter("default", "quiet")), "default of loud");
    assert.equal(last(queue, waiter("default", "loud")), undefined);
    assert.equal(last(queueOf({ default: { loud: 2, quiet: 1 } }), waiter("default", "quiet")), undefined);
  });

  it("takes the newest, and spares retries", () => {
    const queue = new ModelQueue<Named>();
    const [first, second, again] = [waiter("default"), waiter("default"), waiter("default", "t", true)];
    for (const each of [first, second, again]) queue.join(each);
    assert.equal(queue.lastBehind(waiter("default", "u")), second);
  });
});
