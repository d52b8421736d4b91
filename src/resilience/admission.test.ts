import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { NexusError } from "../base/errors.ts";
import { Admission, type AdmissionAsk, type Slot } from "./admission.ts";
import { admissionConfigSchema } from "./config.ts";
import { LocalSlotLedger } from "./slot-ledger.ts";

interface Place {
  readonly key: string;
}

const at = (...keys: string[]): readonly Place[] => keys.map((key) => ({ key }));

/** An admission with instances of given limits, and requests that say in which order they got their slot. */
function open(limits: Record<string, number>, settings: Parameters<typeof admissionConfigSchema.parse>[0] = {}) {
  const clock = new FakeClock();
  const ledger = new LocalSlotLedger();
  const admission = new Admission<Place>({
    settings: admissionConfigSchema.parse(settings),
    clock,
    ledger,
    limitOf: ({ key }) => limits[key] ?? 0,
  });
  const served: string[] = [];
  const failed = new Map<string, NexusError>();
  const slots = new Map<string, Slot<Place>>();
  const ask = (rest: Partial<AdmissionAsk<Place>> = {}): AdmissionAsk<Place> => ({
    model: "m",
    class: "default",
    tenant: "t",
    kind: "",
    deadlineAt: Number.POSITIVE_INFINITY,
    signal: new AbortController().signal,
    isRetry: false,
    candidates: () => at("a"),
    ...rest,
  });
  const request = (name: string, rest: Partial<AdmissionAsk<Place>> = {}): void => {
    const keep = (slot: Slot<Place>) => {
      served.push(name);
      slots.set(name, slot);
    };
    try {
      const answer = admission.admit(ask(rest));
      if (answer instanceof Promise) answer.then(keep, (error: NexusError) => failed.set(name, error));
      else keep(answer);
    } catch (error) {
      assert.ok(error instanceof NexusError);
      failed.set(name, error);
    }
  };
  const release = async (name: string) => {
    slots.get(name)?.release();
    await clock.tick(0);
  };
  return { admission, clock, ledger, limits, served, failed, slots, ask, request, release };
}

describe("Admission: slots", () => {
  it("lets through at once while a slot is free, to the first candidate that has one", () => {
    const { admission, ask } = open({ a: 1, b: 1 });
    const first = admission.admit(ask({ candidates: () => at("a", "b") }));
    const second = admission.admit(ask({ candidates: () => at("a", "b") }));
    assert.ok(!(first instanceof Promise) && !(second instanceof Promise));
    assert.deepEqual([first.candidate.key, second.candidate.key, second.queuedMs], ["a", "b", 0]);
  });

  it("gives a slot back once, however often it is released", async () => {
    const { request, release, served, ledger } = open({ a: 1 });
    for (const name of ["1", "2", "3"]) request(name);
    await release("1");
    await release("1");
    assert.deepEqual(served, ["1", "2"]);
    assert.equal(ledger.taken("a"), 1);
  });

  it("says how long a request waited, and leaves no timer behind", async () => {
    const { request, release, slots, clock } = open({ a: 1 });
    request("1");
    request("2");
    await clock.tick(250);
    await release("1");
    assert.equal(slots.get("2")?.queuedMs, 250);
    assert.equal(clock.pending, 0);
  });

  it("takes a waiting request out at once when its client leaves", async () => {
    const { request, release, served, failed, admission, clock } = open({ a: 1 });
    const client = new AbortController();
    request("1");
    request("2", { signal: client.signal });
    request("3");
    client.abort();
    assert.equal(admission.waiting, 1);
    await clock.tick(0);
    assert.equal(failed.get("2")?.code, "client_closed");
    await release("1");
    assert.deepEqual(served, ["1", "3"]);
  });

  it("takes nobody in whose client has left already", () => {
    const { request, failed } = open({ a: 1 });
    request("1", { signal: AbortSignal.abort() });
    assert.equal(failed.get("1")?.code, "client_closed");
  });

  it("plans again when a slot comes free, when the fleet changes, and as time passes", async () => {
    const { request, release, served, slots, admission, limits, clock } = open({ a: 1, b: 1, c: 0 });
    let now = at("a");
    request("1");
    for (const name of ["2", "3", "4"]) request(name, { candidates: () => now });
    now = at("b");
    await release("1");
    assert.equal(slots.get("2")?.candidate.key, "b");
    now = at("c");
    limits.c = 1;
    admission.fleetChanged();
    await clock.tick(0);
    assert.equal(slots.get("3")?.candidate.key, "c");
    limits.c = 2;
    await clock.tick(100);
    assert.deepEqual(served, ["1", "2", "3", "4"]);
  });

  it("looks at once where a request can go since the fleet has changed", async () => {
    const { request, release, served, admission } = open({ a: 1, b: 1 });
    let now = at("a");
    request("on b", { candidates: () => at("b") });
    request("on a");
    request("waits", { candidates: () => now });
    now = at("b");
    admission.fleetChanged();
    await release("on b");
    assert.equal(served.at(-1), "waits");
  });

  it("lets nobody pass those who wait when more becomes possible without an event", async () => {
    const { request, served, limits, clock } = open({ a: 1 });
    for (const name of ["1", "2"]) request(name);
    limits.a = 2;
    request("3");
    assert.deepEqual(served, ["1"]);
    await clock.tick(100);
    assert.deepEqual(served, ["1", "2"]);
  });

  it("estimates the wait for an instance while somebody waits for it", async () => {
    const { admission, request, release, clock } = open({ a: 2, b: 1 });
    for (const name of ["1", "2"]) request(name);
    await clock.tick(3_000);
    request("3");
    assert.equal(admission.waitMsOf("a"), 0, "nothing is measured yet");
    await release("1");
    assert.equal(admission.waitMsOf("a"), 0, "nobody waits");
    request("4");
    assert.equal(admission.waitMsOf("a"), 3_000);
    assert.equal(admission.waitMsOf("b"), 0);
  });

  it("refuses with what the plan throws, the newcomer and the one who waits", async () => {
    const { request, release, failed, clock } = open({ a: 1 });
    const away = new NexusError("no_instance_available", "away");
    let isAway = false;
    const candidates = () => {
      if (isAway) throw away;
      return at("a");
    };
    request("1");
    request("2", { candidates });
    isAway = true;
    request("3", { candidates });
    await release("1");
    await clock.tick(0);
    assert.deepEqual([failed.get("2"), failed.get("3")], [away, away]);
  });

  it("gives a slot without a wait or not at all when asked so", () => {
    const { admission, ask, request } = open({ a: 1, b: 1 });
    request("1");
    request("2");
    assert.equal(admission.tryAdmit(ask()), undefined);
    assert.equal(admission.tryAdmit(ask({ candidates: () => at("b") })), undefined, "somebody of its kind waits");
    assert.equal(admission.tryAdmit(ask({ kind: "x", candidates: () => at("b") }))?.candidate.key, "b");
  });
});

describe("Admission: nobody waits behind one who could not use the slot", () => {
  it("lets models that share an instance pass each other", async () => {
    const { request, release, served } = open({ a: 1, b: 1 });
    request("on a");
    request("on b", { candidates: () => at("b") });
    request("x1", { model: "x", candidates: () => at("b") });
    request("y1", { model: "y", candidates: () => at("a", "b") });
    await release("on a");
    assert.deepEqual(served, ["on a", "on b", "y1"]);
    await release("on b");
    assert.deepEqual(served.at(-1), "x1");
  });

  it("lets kinds of one model pass each other", async () => {
    const { request, release, served } = open({ a: 1, vision: 1 });
    request("1");
    request("2", { candidates: () => at("vision") });
    request("3", { kind: "vision", candidates: () => at("vision") });
    request("4", { candidates: () => at("a", "vision") });
    await release("1");
    assert.deepEqual(served, ["1", "2", "4"]);
    await release("2");
    assert.deepEqual(served.at(-1), "3");
  });

  it("gives the slots of a shared instance to its models in turn", async () => {
    const { request, release, served } = open({ a: 1 });
    request("first");
    for (let i = 1; i <= 3; i++) request(`x${i}`, { model: "x" });
    for (let i = 1; i <= 3; i++) request(`y${i}`, { model: "y" });
    for (const name of ["first", "x1", "y1", "x2", "y2", "x3"]) await release(name);
    assert.deepEqual(served, ["first", "x1", "y1", "x2", "y2", "x3", "y3"]);
  });
});

describe("Admission: classes", () => {
  it("serves interactive before default before batch", async () => {
    const { request, release, served } = open({ a: 1 });
    request("first");
    request("batch", { class: "batch" });
    request("default");
    request("interactive", { class: "interactive" });
    for (const name of ["first", "interactive", "default"]) await release(name);
    assert.deepEqual(served, ["first", "interactive", "default", "batch"]);
  });

  it("lets a default request through after four interactive ones", async () => {
    const { request, release, served } = open({ a: 1 });
    request("0");
    request("default");
    for (let i = 1; i <= 9; i++) request(String(i), { class: "interactive" });
    for (const name of ["0", "1", "2", "3", "4"]) await release(name);
    assert.equal(served.at(-1), "default");
  });

  it("runs batch only while a share of the slots stays free", async () => {
    const { request, release, served } = open({ a: 4, b: 4 }, { batchIdleShare: 0.25 });
    const candidates = () => at("a", "b");
    for (let i = 1; i <= 8; i++) request(`batch${i}`, { class: "batch", candidates });
    assert.equal(served.length, 6);
    request("default1", { candidates });
    request("default2", { candidates });
    assert.equal(served.length, 8, "others need not wait for batch");
    await release("batch1");
    await release("batch2");
    assert.equal(served.length, 8);
    await release("default1");
    assert.equal(served.at(-1), "batch7");
  });

  it("runs batch on a single slot while nobody wants it", async () => {
    const { request, release, served } = open({ a: 1 });
    request("batch1", { class: "batch" });
    request("batch2", { class: "batch" });
    request("default");
    await release("batch1");
    assert.deepEqual(served, ["batch1", "default"]);
    await release("default");
    assert.deepEqual(served, ["batch1", "default", "batch2"]);
  });
});

describe("Admission: bounds", () => {
  it("refuses what finds the queue full, and says when to come back by the measured rate", async () => {
    const { request, release, failed, clock } = open({ a: 2 }, { queueMax: 5 });
    for (let i = 0; i < 2; i++) request(`held${i}`);
    await clock.tick(4_000);
    request("measured");
    await release("held0");
    for (let i = 0; i < 5; i++) request(`waiting${i}`);
    request("one too many");
    const error = failed.get("one too many");
    assert.equal(error?.code, "queue_full");
    // Six before it, two at a time, four seconds each.
    assert.equal(error?.retryAfterSeconds, 12);
  });

  it("bounds all queues together", () => {
    const { request, failed, admission } = open({ a: 1 }, { queueTotalMax: 2 });
    for (const model of ["x", "y", "z", "w"]) request(model, { model });
    assert.equal(admission.waiting, 2);
    assert.deepEqual([...failed.keys()], ["w"]);
  });

  it("makes room in a full queue: for a more urgent class, and for a tenant that has less than its share", async () => {
    const { request, failed, admission, clock } = open({ a: 1 }, { queueMax: 3 });
    request("held");
    request("batch", { class: "batch" });
    request("loud1", { tenant: "loud" });
    request("loud2", { tenant: "loud" });
    request("quiet1", { tenant: "quiet" });
    request("quiet2", { tenant: "quiet" });
    request("loud3", { tenant: "loud" });
    request("urgent", { class: "interactive" });
    await clock.tick(0);
    assert.deepEqual([...failed.keys()].sort(), ["batch", "loud2", "loud3", "quiet2"].sort());
    assert.deepEqual(admission.waitingOf("m"), { interactive: 1, default: 2, batch: 0 });
  });

  it("takes a retry back into a full queue, before its tenant's others", async () => {
    const { request, release, served } = open({ a: 1 }, { queueMax: 1 });
    request("held");
    request("1");
    request("again", { isRetry: true });
    await release("held");
    await release("again");
    assert.deepEqual(served, ["held", "again", "1"]);
  });

  it("refuses at once what could not make it by its deadline, and lets a free slot decide otherwise", async () => {
    const { request, release, failed, served, clock } = open({ a: 1 });
    request("first");
    await clock.tick(10_000);
    await release("first");
    request("second", { deadlineAt: clock.monotonic() + 1 });
    assert.equal(served.at(-1), "second");
    request("third", { deadlineAt: clock.monotonic() + 10_000 });
    request("hopeless", { deadlineAt: clock.monotonic() + 19_000 });
    const error = failed.get("hopeless");
    assert.equal(error?.code, "deadline_exceeded");
    assert.equal(error?.retryAfterSeconds, 1);
    assert.equal(failed.size, 1);
  });

  it("refuses what has waited to its deadline, or as long as its class may", async () => {
    const { request, failed, clock } = open({ a: 1 }, { waitMsMax: { interactive: 2_000 } });
    request("held");
    request("deadline", { deadlineAt: 1_000 });
    request("class", { class: "interactive" });
    await clock.tick(1_100);
    assert.equal(failed.get("deadline")?.code, "deadline_exceeded");
    await clock.tick(1_000);
    assert.equal(failed.get("class")?.code, "queue_full");
    assert.equal(clock.pending, 0);
  });

  it("refuses everybody when it closes", async () => {
    const { request, failed, admission, clock } = open({ a: 1 });
    for (const name of ["held", "1", "2"]) request(name);
    admission.close(new NexusError("draining", "stopping"));
    await clock.tick(0);
    assert.deepEqual(
      [...failed.values()].map(({ code }) => code),
      ["draining", "draining"],
    );
    assert.equal(clock.pending, 0);
  });
});

describe("Admission: tenants", () => {
  it("serves tenants in turn, however many requests one of them has waiting", async () => {
    const { request, release, served, clock } = open({ a: 1 });
    request("first");
    for (let i = 1; i <= 5; i++) request(`loud${i}`, { tenant: "loud" });
    for (let i = 1; i <= 2; i++) request(`quiet${i}`, { tenant: "quiet" });
    for (const name of ["first", "loud1", "quiet1", "loud2", "quiet2"]) {
      await clock.tick(1_000);
      await release(name);
    }
    assert.deepEqual(served, ["first", "loud1", "quiet1", "loud2", "quiet2", "loud3"]);
  });

  it("shares time, not requests: who holds slots for long gets fewer of them", async () => {
    const { request, release, served, clock } = open({ a: 1 });
    request("first");
    for (let i = 0; i < 40; i++) request(`long${i}`, { tenant: "long" });
    for (let i = 0; i < 40; i++) request(`short${i}`, { tenant: "short" });
    await release("first");
    for (let turn = 0; turn < 40; turn++) {
      const name = served.at(-1) ?? "";
      await clock.tick(name.startsWith("long") ? 4_000 : 1_000);
      await release(name);
    }
    const long = served.filter((name) => name.startsWith("long")).length;
    assert.ok(long >= 6 && long <= 12, `${long} of ${served.length} were long ones`);
  });
});
