import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { FairLine, type Standing } from "./fair-line.ts";

const anyone = () => true;
const stand = (tenant: string, isRetry = false): Standing => ({ tenant, isRetry });

/** Lets so many out, one after the other, each for what its tenant's turns cost, and says whose they were. */
function turns(line: FairLine<Standing>, count: number, costOf: (tenant: string) => number = () => 100): string[] {
  const served: string[] = [];
  for (let turn = 0; turn < count; turn++) {
    const next = line.next(anyone);
    if (next === undefined) break;
    served.push(next.tenant);
    line.serve(next, 100)(costOf(next.tenant));
  }
  return served;
}

function lineOf(counts: Record<string, number>): FairLine<Standing> {
  const line = new FairLine<Standing>();
  for (const [tenant, count] of Object.entries(counts)) for (let i = 0; i < count; i++) line.join(stand(tenant));
  return line;
}

const countOf = (served: readonly string[], tenant: string) => served.filter((name) => name === tenant).length;

describe("FairLine", () => {
  it("is first come first served within a tenant, retries before the others", () => {
    const line = new FairLine<Standing>();
    const standing = [stand("t"), stand("t"), stand("t", true)];
    for (const each of standing) line.join(each);
    const order = Array.from({ length: 3 }, () => {
      const next = line.next(anyone);
      if (next !== undefined) line.serve(next, 1);
      return next && standing.indexOf(next);
    });
    assert.deepEqual(order, [2, 0, 1]);
    assert.equal(line.next(anyone), undefined);
  });

  it("passes over those who are not able, and keeps their place", () => {
    const line = lineOf({ s: 1, t: 1 });
    assert.equal(line.next(({ tenant }) => tenant === "t")?.tenant, "t");
    assert.deepEqual(turns(line, 2), ["s", "t"]);
  });

  it("lets a tenant that comes back take turns with the others, whatever it did not use", () => {
    const line = lineOf({ early: 1, steady: 200, other: 200 });
    turns(line, 100);
    for (let i = 0; i < 50; i++) line.join(stand("early"));
    const served = turns(line, 30);
    assert.ok(countOf(served, "early") <= 12, served.join(" "));
    assert.ok(countOf(served, "early") >= 8, served.join(" "));
  });

  it("shares time, not turns", () => {
    const served = turns(lineOf({ slow: 200, quick: 200 }), 100, (tenant) => (tenant === "slow" ? 300 : 100));
    assert.ok(Math.abs(countOf(served, "quick") / countOf(served, "slow") - 3) < 0.5, served.join(" "));
  });

  it("does not lock a tenant out for one endless turn", () => {
    const line = lineOf({ endless: 50, other: 200 });
    const first = line.next(anyone);
    assert.equal(first?.tenant, "endless");
    if (first !== undefined) line.serve(first, 100)(1_000_000);
    assert.ok(countOf(turns(line, 30), "endless") >= 1);
  });

  it("owes a tenant that could not be served eight turns at most", () => {
    const line = lineOf({ stuck: 200, other: 200 });
    for (let turn = 0; turn < 100; turn++) {
      const next = line.next(({ tenant }) => tenant === "other");
      if (next !== undefined) line.serve(next, 100)(100);
    }
    const served = turns(line, 40);
    assert.ok(countOf(served, "other") >= 10, served.join(" "));
  });

  it("forgets what tenants have had once nobody waits", () => {
    const line = lineOf({ endless: 1, other: 1, third: 1 });
    const first = line.next(anyone);
    if (first !== undefined) line.serve(first, 100)(1_000_000);
    turns(line, 2);
    for (const tenant of ["endless", "other"]) line.join(stand(tenant));
    assert.deepEqual(turns(line, 1), ["endless"]);
  });

  it("is empty at the end", () => {
    const line = new FairLine<Standing>();
    for (let tenant = 0; tenant < 1_000; tenant++) {
      line.join(stand("steady"));
      line.join(stand(String(tenant)));
      turns(line, 2);
    }
    assert.deepEqual([line.size, [...line].length], [0, 0]);
  });

  it("serves everybody within a bounded number of turns, whatever turns cost and whoever joins", () => {
    const tenants = ["a", "b", "c", "d"];
    const step = fc.record({ joins: fc.array(fc.constantFrom(...tenants), { maxLength: 3 }), costMs: fc.nat(2_000) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 150, maxLength: 200 }), (steps) => {
        const line = lineOf({ a: 2, b: 2, c: 2, d: 2, patient: 1 });
        const served: string[] = [];
        for (const { joins, costMs } of steps) {
          for (const tenant of joins) line.join(stand(tenant));
          const next = line.next(anyone);
          if (next === undefined) break;
          served.push(next.tenant);
          line.serve(next, 1_000)(costMs);
        }
        assert.ok(served.indexOf("patient") >= 0 && served.indexOf("patient") < 100);
      }),
      { numRuns: 100 },
    );
  });
});
