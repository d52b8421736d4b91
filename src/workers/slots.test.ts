import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { type Random, randomFrom } from "../../test/support/random.ts";
import { LeasedSlots } from "./leased-slots.ts";
import { SlotBroker, type SlotHolder } from "./slot-broker.ts";
import type { SlotReply, SlotRequest } from "./slot-messages.ts";

/** A worker with requests that wait for slots and hold them, behind a channel that takes as long as the test wants. */
class FakeWorker implements SlotHolder {
  readonly toPrimary: SlotRequest[] = [];
  readonly fromPrimary: SlotReply[] = [];
  readonly running = new Map<string, number>();
  readonly waiting = new Map<string, number>();
  readonly slots: LeasedSlots;
  readonly limitOf: (key: string) => number;

  constructor(clock: FakeClock, limitOf: (key: string) => number) {
    this.limitOf = limitOf;
    this.slots = new LeasedSlots({ send: (request) => this.toPrimary.push(request), clock, isDeclared: () => true });
    this.slots.onFree((key) => {
      if (this.waitingFor(key) > 0 && this.#take(key)) this.waiting.set(key, this.waitingFor(key) - 1);
    });
  }

  send(reply: SlotReply): void {
    this.fromPrimary.push(reply);
  }

  waitingFor(key: string): number {
    return this.waiting.get(key) ?? 0;
  }

  runningOn(key: string): number {
    return this.running.get(key) ?? 0;
  }

  request(key: string): void {
    if (!this.#take(key)) this.waiting.set(key, this.waitingFor(key) + 1);
  }

  /** A client that leaves while it waits. */
  abort(key: string): void {
    if (this.waitingFor(key) > 0) this.waiting.set(key, this.waitingFor(key) - 1);
  }

  finish(key: string): void {
    if (this.runningOn(key) === 0) return;
    this.running.set(key, this.runningOn(key) - 1);
    this.slots.give(key);
  }

  #take(key: string): boolean {
    if (!this.slots.tryTake(key, this.limitOf(key))) return false;
    this.running.set(key, this.runningOn(key) + 1);
    return true;
  }
}

class Cluster {
  readonly broker = new SlotBroker();
  readonly workers: FakeWorker[] = [];
  readonly clock = new FakeClock();
  readonly limits: ReadonlyMap<string, number>;

  constructor(limits: ReadonlyMap<string, number>, workers: number) {
    this.limits = limits;
    for (let at = 0; at < workers; at++) this.start(at);
  }

  start(at: number): void {
    const worker = new FakeWorker(this.clock, (key) => this.limits.get(key) ?? 0);
    this.workers[at] = worker;
    this.broker.join(worker);
  }

  /** What it had sent arrives, as it does with a pipe; then the primary sees its end. */
  kill(at: number): void {
    const worker = this.worker(at);
    while (this.deliver(worker, "up")) {}
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
    if (reply !== undefined) worker.slots.receive(reply);
    return reply !== undefined;
  }

  deliverAll(): void {
    let isQuiet = false;
    while (!isQuiet) {
      isQuiet = true;
      for (const worker of this.workers) {
        for (const way of ["up", "down"] as const) if (this.deliver(worker, way)) isQuiet = false;
      }
    }
  }

  check(): void {
    for (const [key, limit] of this.limits) {
      const running = this.workers.reduce((sum, worker) => sum + worker.runningOn(key), 0);
      assert.ok(running <= limit, `${running} requests run on ${key}, which takes ${limit}`);
    }
  }

  waiting(): number {
    return this.workers.reduce((sum, { waiting }) => [...waiting.values()].reduce((all, one) => all + one, sum), 0);
  }
}

/** One thing happens: mostly a message arrives, or does not yet. */
async function step(cluster: Cluster, random: Random): Promise<void> {
  const worker = random.pick(cluster.workers);
  const key = random.pick([...cluster.limits.keys()]);
  const chance = random.below(1_000);
  if (chance < 250) worker.request(key);
  else if (chance < 500) worker.finish(key);
  else if (chance < 530) worker.abort(key);
  else if (chance < 535) cluster.kill(cluster.workers.indexOf(worker));
  else if (chance < 540) await cluster.clock.tick(random.below(3_000));
  else cluster.deliver(worker, random.pick(["up", "down"]));
}

/** No more news: what runs ends in turn, and everyone who waits must be served on the way. */
function wind(cluster: Cluster): void {
  for (let round = 0; round < 2_000; round++) {
    cluster.deliverAll();
    cluster.check();
    const busy = cluster.workers.flatMap((worker) =>
      [...cluster.limits.keys()].filter((key) => worker.runningOn(key) > 0).map((key) => ({ worker, key })),
    );
    const [first] = busy;
    if (first === undefined) break;
    first.worker.finish(first.key);
  }
}

// proves: workers.slots-add-up
describe("slots of several workers", () => {
  test("never exceed an instance's limit, and nobody waits for ever, whatever is late and whoever dies", async () => {
    for (let seed = 1; seed <= 400; seed++) {
      const random = randomFrom(seed);
      const limits = new Map([
        ["a", 1 + random.below(4)],
        ["b", 1 + random.below(40)],
      ]);
      const cluster = new Cluster(limits, 2 + random.below(3));
      for (let turn = 0; turn < 600; turn++) {
        await step(cluster, random);
        cluster.check();
      }
      wind(cluster);
      assert.equal(cluster.waiting(), 0, `seed ${seed}: somebody waits and nothing runs`);
    }
  });

  test("while there are plenty, a worker asks once for many", () => {
    const cluster = new Cluster(new Map([["a", 1_000]]), 2);
    const worker = cluster.worker(0);
    worker.request("a");
    cluster.deliverAll();
    for (let request = 0; request < 200; request++) worker.request("a");
    assert.deepEqual(worker.toPrimary, []);
    assert.equal(worker.runningOn("a"), 201);
  });

  test("a worker with requests that wait gets what is idle elsewhere at once, and then every other slot", () => {
    const cluster = new Cluster(new Map([["a", 4]]), 2);
    const [first, second] = [cluster.worker(0), cluster.worker(1)];
    for (let request = 0; request < 10; request++) first.request("a");
    cluster.deliverAll();
    assert.equal(first.runningOn("a"), 4);
    for (let request = 0; request < 10; request++) second.request("a");
    cluster.deliverAll();
    assert.equal(second.runningOn("a"), 0);
    for (let end = 0; end < 4; end++) {
      first.finish("a");
      cluster.deliverAll();
    }
    assert.equal(second.runningOn("a"), 2);
    assert.equal(first.runningOn("a"), 2);
  });

  test("what a worker held is free when it has died", () => {
    const cluster = new Cluster(new Map([["a", 2]]), 2);
    for (let request = 0; request < 2; request++) cluster.worker(0).request("a");
    cluster.deliverAll();
    cluster.worker(1).request("a");
    cluster.deliverAll();
    assert.equal(cluster.worker(1).runningOn("a"), 0);
    cluster.kill(0);
    cluster.deliverAll();
    assert.equal(cluster.worker(1).runningOn("a"), 1);
  });

  test("a lease that nothing is done with comes back by itself", async () => {
    const cluster = new Cluster(new Map([["a", 100]]), 2);
    cluster.worker(0).request("a");
    cluster.deliverAll();
    cluster.worker(0).finish("a");
    assert.ok(cluster.broker.held("a") > 0);
    for (let second = 0; second < 8; second++) {
      await cluster.clock.tick(1_000);
      cluster.deliverAll();
    }
    assert.equal(cluster.broker.held("a"), 0);
  });

  test("a request is told to wait for an answer only while one is on its way", () => {
    const cluster = new Cluster(new Map([["a", 1]]), 2);
    cluster.worker(0).request("a");
    cluster.deliverAll();
    const { slots } = cluster.worker(1);
    assert.equal(slots.isAsking("a"), false);
    cluster.worker(1).request("a");
    assert.equal(slots.isAsking("a"), true);
    cluster.deliverAll();
    assert.equal(slots.isAsking("a"), false, "there is none, so the request may look elsewhere");
  });

  test("every worker learns what the others use", async () => {
    const cluster = new Cluster(new Map([["a", 10]]), 3);
    for (const at of [0, 1]) cluster.worker(at).request("a");
    cluster.deliverAll();
    await cluster.clock.tick(300);
    cluster.deliverAll();
    assert.equal(cluster.worker(2).slots.taken("a"), 2);
    cluster.kill(0);
    cluster.deliverAll();
    assert.equal(cluster.worker(2).slots.taken("a"), 1);
    assert.equal(cluster.worker(0).slots.taken("a"), 1, "a fresh worker is told at once");
  });
});
