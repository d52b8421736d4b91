import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { type Random, randomFrom } from "../../test/support/random.ts";
import type { Take, Taken } from "../keys/limit-ledger.ts";
import { LocalLedger } from "../keys/local-ledger.ts";
import { LeasedLimits } from "./leased-limits.ts";
import { LimitBroker, type LimitHolder } from "./limit-broker.ts";
import type { LimitReply, LimitRequest } from "./limit-messages.ts";

interface Request {
  readonly receipt: number;
  readonly takes: readonly Take[];
}

class FakeWorker implements LimitHolder {
  readonly toPrimary: LimitRequest[] = [];
  readonly fromPrimary: LimitReply[] = [];
  readonly limits: LeasedLimits;
  readonly running: Request[] = [];
  refused = 0;
  admitted = 0;
  isAlive = true;

  constructor(clock: FakeClock) {
    this.limits = new LeasedLimits({ send: (request) => this.toPrimary.push(request), clock });
  }

  send(reply: LimitReply): void {
    this.fromPrimary.push(reply);
  }

  /** Whether it was decided at once. */
  request(takes: readonly Take[]): boolean {
    const taken = this.limits.take(takes);
    const note = (result: Taken) => {
      if (!result.ok) this.refused++;
      else {
        this.admitted++;
        this.running.push({ receipt: result.receipt, takes });
      }
    };
    if (!(taken instanceof Promise)) note(taken);
    else taken.then(note, () => this.refused++);
    return !(taken instanceof Promise);
  }

  finish(share: number): void {
    const request = this.running.shift();
    if (request === undefined) return;
    const used = request.takes.map((take) => [
      take.counter,
      take.kind === "place" ? 1 : Math.floor(take.amount * share),
    ]);
    this.limits.settle(request.receipt, Object.fromEntries(used));
  }
}

class Cluster {
  readonly clock = new FakeClock();
  readonly ledger = new LocalLedger(this.clock);
  readonly broker = new LimitBroker(this.ledger);
  readonly workers: FakeWorker[] = [];

  constructor(workers: number) {
    for (let at = 0; at < workers; at++) this.start(at);
  }

  start(at: number): void {
    const worker = new FakeWorker(this.clock);
    this.workers[at] = worker;
    this.broker.join(worker);
  }

  kill(at: number): void {
    const worker = this.worker(at);
    while (this.deliver(worker, "up")) {}
    worker.isAlive = false;
    worker.limits.close();
    this.broker.leave(worker);
    this.start(at);
  }

  worker(at: number): FakeWorker {
    const worker = this.workers[at];
    assert.ok(worker !== undefined);
    return worker;
  }

  deliver(worker: FakeWorker, way: "up" | "down"): boolean {
    if (way === "up") {
      const request = worker.toPrimary.shift();
      if (request !== undefined) this.broker.receive(worker, request);
      return request !== undefined;
    }
    const reply = worker.fromPrimary.shift();
    if (reply !== undefined) worker.limits.receive(reply);
    return reply !== undefined;
  }

  /** Until nothing is on its way, promises included. */
  async deliverAll(): Promise<void> {
    for (let isQuiet = false; !isQuiet; ) {
      isQuiet = true;
      for (const worker of this.workers) {
        for (const way of ["up", "down"] as const) if (this.deliver(worker, way)) isQuiet = false;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  running(): number {
    return this.workers.reduce((sum, { running }) => sum + running.length, 0);
  }
}

const place = (limit: number): Take => ({ kind: "place", counter: "place", limit });
const minute = (amount: number, limit: number): Take => ({ kind: "minute", counter: "minute", amount, limit });
const month = (amount: number, limit: number): Take => ({
  kind: "period",
  counter: "month",
  period: "2026-01-01",
  amount,
  limit,
  leftMs: 1_000_000,
});

/** Runs a cluster into the ground by chance; `check` looks after every step. */
async function simulate(random: Random, cluster: Cluster, takes: () => readonly Take[], check: () => void) {
  for (let turn = 0; turn < 300; turn++) {
    const worker = random.pick(cluster.workers);
    const chance = random.below(1_000);
    if (chance < 350) worker.request(takes());
    else if (chance < 600) worker.finish(random.below(120) / 100);
    else if (chance < 604) cluster.kill(cluster.workers.indexOf(worker));
    else if (chance < 620) await cluster.clock.tick(random.below(400));
    else {
      cluster.deliver(worker, random.pick(["up", "down"]));
      if (random.below(4) === 0) await Promise.resolve();
    }
    check();
  }
}

// proves: workers.limits-add-up
describe("limits over several workers", () => {
  test("concurrency is never exceeded, and all of it is free again at the end, whatever is late and whoever dies", async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = randomFrom(seed);
      const limit = 1 + random.below(200);
      const cluster = new Cluster(2 + random.below(2));
      const check = () => assert.ok(cluster.running() <= limit, `seed ${seed}: ${cluster.running()} of ${limit}`);
      await simulate(random, cluster, () => [place(limit)], check);
      await cluster.deliverAll();
      for (const worker of cluster.workers) while (worker.running.length > 0) worker.finish(1);
      await cluster.clock.tick(1_000);
      await cluster.deliverAll();
      assert.equal(cluster.ledger.remaining(place(limit)), limit, `seed ${seed}`);
    }
  });

  test("no 60 seconds let more through than the limit, and nothing stays lent", async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = randomFrom(seed);
      const limit = 20 + random.below(400);
      const cluster = new Cluster(2);
      const admitted = () => cluster.workers.reduce((sum, worker) => sum + worker.admitted, 0);
      await simulate(
        random,
        cluster,
        () => [minute(1, limit)],
        () => assert.ok(admitted() <= limit, `seed ${seed}: ${admitted()} of ${limit} a minute`),
      );
      await cluster.deliverAll();
      await cluster.clock.tick(1_000);
      await cluster.deliverAll();
      await cluster.clock.tick(62_000);
      assert.equal(cluster.ledger.remaining(minute(1, limit)), limit, `seed ${seed}`);
    }
  });

  test("a budget is never exceeded by what was estimated, and what was used is what counts in the end", async () => {
    const limit = 100_000;
    const cluster = new Cluster(2);
    let used = 0;
    for (let turn = 0; turn < 400; turn++) {
      const worker = cluster.worker(turn % 2);
      worker.request([month(1_000, limit)]);
      await cluster.deliverAll();
      await cluster.clock.tick(25);
      assert.ok(used + cluster.running() * 1_000 <= limit);
      if (worker.running.length > 0) {
        worker.finish(0.5);
        used += 500;
      }
    }
    await cluster.clock.tick(1_000);
    await cluster.deliverAll();
    assert.ok(used > limit - 2 * 1_000, `stopped at ${used} of ${limit}`);
    assert.equal(cluster.ledger.remaining(month(1_000, limit)), limit - used);
  });

  test("what is lent to a worker that is not heard from is nobody else's", async () => {
    const cluster = new Cluster(2);
    const [silent, other] = [cluster.worker(0), cluster.worker(1)];
    silent.request([minute(1, 80)]);
    await cluster.deliverAll();
    while (silent.request([minute(1, 80)])) {}
    silent.toPrimary.length = 0;
    assert.ok(silent.admitted > 1, "nothing was lent: the scenario proves nothing");
    for (let request = 0; request < 200; request++) {
      other.request([minute(1, 80)]);
      await cluster.deliverAll();
    }
    assert.equal(other.admitted, 80 - silent.admitted);
  });

  test("of 60 requests over two workers at 20 a minute exactly 20 pass", async () => {
    const cluster = new Cluster(2);
    for (let request = 0; request < 60; request++) cluster.worker(request % 2).request([minute(1, 20), place(50)]);
    await cluster.deliverAll();
    const [first, second] = cluster.workers;
    assert.equal((first?.admitted ?? 0) + (second?.admitted ?? 0), 20);
    assert.equal((first?.refused ?? 0) + (second?.refused ?? 0), 40);
  });

  test("where a limit is plentiful only the first request is asked for", async () => {
    const cluster = new Cluster(2);
    const worker = cluster.worker(0);
    const takes = [minute(1, 100_000), minute(500, 10_000_000), place(10_000), month(500, 1_000_000_000)].map(
      (take, index): Take => ({ ...take, counter: `${take.counter}${index}` }),
    );
    assert.equal(worker.request(takes), false);
    await cluster.deliverAll();
    for (let request = 0; request < 100; request++) assert.equal(worker.request(takes), true);
  });

  test("a changed limit counts at once", async () => {
    const cluster = new Cluster(2);
    const worker = cluster.worker(0);
    worker.request([minute(1, 100_000)]);
    await cluster.deliverAll();
    assert.equal(worker.request([minute(1, 3)]), false);
    await cluster.deliverAll();
    for (let request = 0; request < 5; request++) worker.request([minute(1, 3)]);
    await cluster.deliverAll();
    assert.equal(worker.admitted, 3);
    assert.equal(worker.refused, 4);
  });

  test("what is used is held back from the minute in which it was taken, and what is not is given back", async () => {
    const cluster = new Cluster(1);
    const worker = cluster.worker(0);
    for (let request = 0; request < 3; request++) {
      worker.request([minute(1_000, 100_000)]);
      await cluster.deliverAll();
    }
    for (const share of [0, 0.5, 1]) worker.finish(share);
    await cluster.clock.tick(1_000);
    await cluster.deliverAll();
    assert.equal(cluster.ledger.remaining(minute(1_000, 100_000)), 100_000 - 1_500);
  });

  test("usage that a dead worker did not get to write does not count against a budget", async () => {
    const cluster = new Cluster(2);
    const take = month(1_000, 1_000_000);
    for (let request = 0; request < 4; request++) {
      cluster.worker(0).request([take]);
      await cluster.deliverAll();
    }
    for (let end = 0; end < 3; end++) cluster.worker(0).finish(1);
    await cluster.clock.tick(30);
    await cluster.deliverAll();
    assert.ok(cluster.ledger.remaining(take) < 1_000_000);
    cluster.kill(0);
    assert.equal(cluster.ledger.remaining(take), 1_000_000);
  });

  test("a primary that does not answer ends in a refusal, and its late answer costs nothing", async () => {
    const cluster = new Cluster(1);
    const worker = cluster.worker(0);
    worker.request([place(1)]);
    await cluster.clock.tick(2_500);
    assert.equal(worker.refused, 1);
    await cluster.deliverAll();
    assert.equal(cluster.ledger.remaining(place(1)), 1);
  });
});
