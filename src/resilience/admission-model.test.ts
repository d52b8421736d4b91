import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { Admission, type Slot } from "./admission.ts";
import { admissionConfigSchema } from "./config.ts";
import { admissionClasses } from "./model-queue.ts";
import { LocalSlotLedger } from "./slot-ledger.ts";

const places = ["a", "b", "c"];
const place = fc.constantFrom(...places);
const event = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("ask" as const),
      model: fc.constantFrom("m", "n"),
      class: fc.constantFrom(...admissionClasses),
      tenant: fc.constantFrom("s", "t", "u"),
      keys: fc.uniqueArray(place, { minLength: 1 }),
      isRetry: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("release" as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("limit" as const), place, limit: fc.nat(3) }) },
);
type Event = typeof event extends fc.Arbitrary<infer E> ? E : never;

interface Request {
  readonly class: string;
  readonly keys: readonly string[];
  readonly client: AbortController;
  state: "waiting" | "held" | "over";
  slot?: Slot<{ key: string }>;
}

/** An admission and, beside it, the simplest account of what it must have done. */
class World {
  readonly limits: Record<string, number> = { a: 1, b: 2, c: 1 };
  readonly ledger = new LocalSlotLedger();
  readonly requests: Request[] = [];
  readonly admission = new Admission<{ key: string }>({
    settings: admissionConfigSchema.parse({ queueMax: 1_000 }),
    clock: new FakeClock(),
    ledger: this.ledger,
    limitOf: ({ key }) => this.limits[key] ?? 0,
  });

  in(state: Request["state"]): Request[] {
    return this.requests.filter((request) => request.state === state);
  }

  async play(event: Event): Promise<void> {
    const before = new Map(places.map((key) => [key, this.ledger.taken(key)]));
    if (event.do === "ask") this.#ask(event);
    else if (event.do === "limit") {
      this.limits[event.place] = event.limit;
      this.admission.fleetChanged();
    } else if (event.do === "release") {
      const held = this.in("held");
      const request = held[event.which % held.length];
      if (request !== undefined) request.state = "over";
      request?.slot?.release();
    } else {
      const waiting = this.in("waiting");
      waiting[event.which % waiting.length]?.client.abort();
    }
    for (let turn = 0; turn < 4; turn++) await Promise.resolve();
    this.#check(before);
  }

  #ask({ model, class: name, tenant, keys, isRetry }: Extract<Event, { do: "ask" }>): void {
    const client = new AbortController();
    const request: Request = { class: name, keys, client, state: "waiting" };
    this.requests.push(request);
    const keep = (slot: Slot<{ key: string }>) => Object.assign(request, { state: "held", slot });
    const answer = this.admission.admit({
      model,
      class: name,
      tenant,
      // A retry is of the kind of all that can go anywhere, and cannot go back to where it was.
      kind: isRetry ? places.join() : keys.toSorted().join(),
      deadlineAt: Number.POSITIVE_INFINITY,
      signal: client.signal,
      isRetry,
      candidates: () => keys.map((key) => ({ key })),
    });
    if (!(answer instanceof Promise)) keep(answer);
    else answer.then(keep, () => Object.assign(request, { state: "over" }));
  }

  #check(before: ReadonlyMap<string, number>): void {
    const hasRoom = (key: string) => this.ledger.taken(key) < (this.limits[key] ?? 0);
    for (const key of places) {
      const taken = this.ledger.taken(key);
      assert.ok(taken <= Math.max(this.limits[key] ?? 0, before.get(key) ?? 0), `${key} takes too many`);
      assert.equal(taken, this.in("held").filter(({ slot }) => slot?.candidate.key === key).length);
    }
    assert.equal(this.admission.waiting, this.in("waiting").length);
    const stranded = this.in("waiting").filter((request) => request.class !== "batch" && request.keys.some(hasRoom));
    assert.deepEqual(stranded, [], "somebody waits beside a free slot");
  }
}

it("admission never exceeds a limit, never leaves a wanted slot idle, and loses and starves nobody", async () => {
  const property = fc.asyncProperty(fc.array(event, { maxLength: 100, size: "max" }), async (events) => {
    const world = new World();
    for (const each of events) await world.play(each);
    for (const key of places) await world.play({ do: "limit", place: key, limit: 3 });
    for (let left = world.requests.length; left > 0; left--) await world.play({ do: "release", which: left });
    assert.deepEqual([world.in("waiting").length, world.in("held").length, world.admission.waiting], [0, 0, 0]);
  });
  await fc.assert(property, { numRuns: 300 });
});
