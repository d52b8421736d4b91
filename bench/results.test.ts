import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { judge } from "./goals.ts";
import { type Figures, type GatewayResult, type Results, type Row, toRatios, toRow } from "./results.ts";
import { insertResults, toMarkdown } from "./table.ts";

const gateway = (name: string, skipped: string | null = null): GatewayResult => ({
  name,
  title: name.toUpperCase(),
  version: "1.0",
  features: "some",
  skipped,
});
const one = (name: string, load: string, figures: Figures): Row => toRow(name, load, [figures]);
const chat = (name: string, rps: number) => one(name, "chat", { rps, p50: 900, p99: 12_300 });

function results(rows: readonly Row[], rest: Partial<Results> = {}): Results {
  const gateways = [gateway("direct"), gateway("nginx"), gateway("nexus"), gateway("portkey")];
  const parts = rest.parts ?? [];
  return {
    measured_at: "2026-01-02T03:04:05.000Z",
    quick: false,
    commit: "abc",
    node: "v24.0.0",
    machine: { cpu: "a processor", cores: 2, memory_gb: 8, os: "an OS" },
    gateways,
    rows,
    ratios: toRatios(rows),
    parts,
    goals: judge({ rows, parts, gateways }),
    ...rest,
  };
}
const goal = (rows: readonly Row[], id: string) => results(rows).goals.find((one) => one.id === id);

describe("the results", () => {
  it("are the medians of the rounds, with all their errors", () => {
    const rounds = [{ rps: 90 }, { rps: 110, errors: 2 }, { rps: 100, errors: 1 }];
    const row = toRow("nexus", "chat", rounds);
    assert.equal(row.rps, 100);
    assert.equal(row.errors, 3);
    assert.equal(row.rounds, 3);
    assert.equal(row.spread, 0.1);
    assert.equal(row.p50_us, null);
  });

  it("stand to nginx and to the mock as their requests a second do", () => {
    const ratios = toRatios([chat("direct", 1_000), chat("nginx", 500), chat("nexus", 250)]);
    assert.deepEqual(ratios.at(-1), { gateway: "nexus", load: "chat", to_direct: 0.25, to_nginx: 0.5 });
    assert.equal(toRatios([chat("nexus", 250)]).at(0)?.to_nginx, null);
  });
});

describe("the goals", () => {
  it("are met when every part of them is", () => {
    const rows = [chat("nginx", 20_000), chat("portkey", 300), chat("nexus", 10_000)];
    assert.deepEqual(
      [goal(rows, "P1")?.met, goal(rows, "P1")?.measured],
      [true, "0.50 x nginx; 33.33 x portkey; ahead of 1 of 1 peers"],
    );
  });

  it("are missed when one part is, and open while one wasn't measured", () => {
    const slow = [chat("nginx", 20_000), chat("portkey", 300), chat("nexus", 8_000)];
    assert.equal(goal(slow, "P1")?.met, false);
    assert.equal(goal([chat("nginx", 20_000), chat("nexus", 10_000)], "P1")?.met, null);
    assert.equal(goal([], "P1")?.measured, "not measured");
  });

  it("count what a gateway adds to the mock's own latency", () => {
    const rate = (name: string, p50: number, p99: number) => one(name, "rate", { p50, p99 });
    const rows = [rate("direct", 100, 200), rate("nginx", 200, 400), rate("nexus", 290, 790)];
    const single = (p50: number) => [one("direct", "single", { p50: 20 }), one("nexus", "single", { p50 })];
    assert.equal(goal([...rows, ...single(270)], "P2")?.met, true);
    assert.equal(goal([...rows, ...single(271)], "P2")?.met, false);
    assert.match(goal(rows, "P2")?.measured ?? "", /p50 \+190 us \(nginx \+100\)/);
  });
});

describe("the page of results", () => {
  const rows = [
    chat("direct", 60_000),
    { ...chat("nexus", 12_345), cpu_us_per_request: 71.4, errors: 3 },
    toRow("portkey", "rate", [], "it can't keep\nup"),
  ];
  const text = toMarkdown(
    results(rows, {
      gateways: [gateway("direct"), gateway("nexus"), gateway("portkey"), gateway("olla", "no such\n module | here")],
      parts: [{ what: "planRoute", instances: 10_000, p50_ms: 0.02, p99_ms: 0.05 }],
    }),
  );

  it("has a line a gateway, and a column a load that was measured", () => {
    assert.match(text, /^\| NEXUS 1\.0 \| 12,350 \(3 errors\) \| 71 \|/m);
    assert.match(text, /\| gateway \| chat, requests\/s \| CPU, us a request \| at 500\/s, p50 \/ p99 ms \|\n/);
    assert.match(text, /^\| PORTKEY 1\.0 \|.* — \|$/m);
    assert.match(text, /\| planRoute \| 10,000 \| 0\.02 \| 0\.05 \|/);
  });

  it("says who is missing, and why", () => {
    assert.match(text, /^- OLLA: no such module \| here$/m);
    assert.match(text, /^- PORTKEY, rate: it can't keep up$/m);
    assert.doesNotMatch(text, /^\| OLLA/m);
  });

  it("replaces the results of the last time and nothing else", () => {
    const page = "before\n<!-- results: written by `npm run bench` -->\nold\n<!-- end of results -->\nafter\n";
    const written = insertResults(page, results(rows));
    assert.match(written, /^before\n<!-- results[\s\S]*NEXUS[\s\S]*<!-- end of results -->\nafter\n$/);
    assert.doesNotMatch(written, /\bold\b/);
    assert.equal(insertResults(written, results(rows)), written);
    assert.throws(() => insertResults("a page without markers", results(rows)));
  });
});
