import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { NexusError } from "../base/errors.ts";
import type { Slot } from "./admission.ts";
import type { Attempt, Keyed } from "./attempt.ts";
import { AttemptFailure, type AttemptFailureKind } from "./attempt-failure.ts";
import { RetryBudget } from "./retry-budget.ts";
import { tryCandidates } from "./try-candidates.ts";

/** Slots of candidates one after the other, and which of them are held. */
function inOrder(keys: readonly string[], held = new Set<string>()) {
  return (tried: ReadonlySet<string>): Slot<Keyed> | undefined => {
    const key = keys.find((candidate) => !tried.has(candidate));
    if (key === undefined) return undefined;
    held.add(key);
    return { candidate: { key }, queuedMs: 0, release: () => held.delete(key) };
  };
}

const fail = (kind: AttemptFailureKind) => new AttemptFailure(kind, new NexusError("backend_unreachable", kind));

describe("tryCandidates", () => {
  const run = async (
    outcomes: Record<string, readonly (AttemptFailureKind | Error | "ok")[]>,
    attemptsMax = 3,
    min = 10,
  ) => {
    const sent: string[] = [];
    const left = new Map(Object.entries(outcomes).map(([key, list]) => [key, [...list]]));
    const controller = new AbortController();
    const answer = tryCandidates(
      {
        next: inOrder(Object.keys(outcomes)),
        send: async ({ slot }) => {
          const { key } = slot.candidate;
          sent.push(key);
          const outcome = left.get(key)?.shift();
          if (outcome === "ok") return key;
          throw outcome instanceof Error ? outcome : fail(outcome ?? "refused");
        },
        failed: () => {},
      },
      { attemptsMax, budget: new RetryBudget({ ratio: 0, min }), signal: controller.signal, clock: new FakeClock() },
    );
    const result = await answer.catch((error: unknown) => (error as Error).message);
    return { sent, result };
  };

  it("goes on to the next candidate and stops at the first answer", async () => {
    assert.deepEqual(await run({ a: ["refused"], b: ["ok"], c: ["ok"] }), { sent: ["a", "b"], result: "b" });
  });

  it("reports the last failure when none answers", async () => {
    assert.deepEqual(await run({ a: ["reset"], b: ["refused"] }), { sent: ["a", "b"], result: "refused" });
  });

  it("sends again to the only one after a reset, once, and not after a refusal or a silence", async () => {
    assert.deepEqual((await run({ a: ["reset", "ok"] })).sent, ["a", "a"]);
    assert.deepEqual((await run({ a: ["reset", "reset", "ok"] })).sent, ["a", "a"]);
    assert.deepEqual((await run({ a: ["refused", "ok"] })).sent, ["a"]);
    assert.deepEqual((await run({ a: ["first_token_timeout", "ok"] })).sent, ["a"]);
  });

  // proves: gateway.retry
  it("keeps to the number of attempts and to the budget", async () => {
    assert.equal((await run({ a: ["refused"], b: ["refused"], c: ["refused"], d: ["ok"] })).sent.length, 3);
    assert.equal((await run({ a: ["first_token_timeout"], b: ["ok"] }, 3, 0)).sent.length, 1);
    assert.equal((await run({ a: ["refused"], b: ["ok"] }, 3, 0)).sent.length, 1);
    assert.equal((await run({ a: ["status"], b: ["ok"] }, 3, 0)).sent.length, 1);
  });

  it("gives each retry back before the next", { timeout: 60_000 }, async () => {
    assert.equal((await run({ a: ["refused"], b: ["refused"], c: ["ok"] }, 3, 1)).result, "c");
  });

  it("does not try on after an error that is the request's own", async () => {
    assert.deepEqual(await run({ a: [new NexusError("invalid_request", "bad")], b: ["ok"] }), {
      sent: ["a"],
      result: "bad",
    });
  });
});

/** Candidates that answer when the test says so. */
function race({ keys = ["a", "b", "c"], attemptsMax = 3, retries = 10, hedgeAfterMs = 100, deadlineAt = 60_000 } = {}) {
  const clock = new FakeClock();
  const client = new AbortController();
  const held = new Set<string>();
  const sent = new Map<string, Attempt<Keyed>>();
  const ends = new Map<string, PromiseWithResolvers<string>>();
  const failed: string[] = [];
  const discarded: string[] = [];
  const hedges: string[] = [];
  const next = inOrder(keys, held);
  const answer = tryCandidates<Keyed, string>(
    {
      next,
      nextNow: next,
      send(attempt) {
        const { key } = attempt.slot.candidate;
        const end = Promise.withResolvers<string>();
        sent.set(key, attempt);
        ends.set(key, end);
        return end.promise;
      },
      failed: ({ key }) => failed.push(key),
      discard: (late) => discarded.push(late),
      hedged: ({ key }, hasWon) => hedges.push(`${key} ${hasWon ? "won" : "lost"}`),
    },
    {
      attemptsMax,
      budget: new RetryBudget({ ratio: 0, min: retries }),
      signal: client.signal,
      clock,
      hedgeAfterMs,
      deadlineAt,
    },
  ).catch((error: NexusError) => error.code);
  return { clock, client, held, sent, ends, failed, discarded, hedges, answer };
}

describe("tryCandidates: hedging", () => {
  it("asks a second candidate when the first is slow, takes the first answer and cancels the other", async () => {
    const { clock, sent, ends, answer, held, hedges, failed } = race();
    await clock.tick(99);
    assert.deepEqual([...sent.keys()], ["a"]);
    await clock.tick(1);
    assert.deepEqual([...sent.keys()], ["a", "b"]);
    assert.equal(sent.get("b")?.isHedge, true);
    ends.get("b")?.resolve("from b");
    assert.equal(await answer, "from b");
    assert.equal(sent.get("a")?.signal.aborted, true);
    assert.equal(sent.get("b")?.signal.aborted, false);
    ends.get("a")?.reject(fail("reset"));
    await clock.tick(0);
    assert.deepEqual([...held], ["b"], "the slot of the answer stays held");
    assert.deepEqual([hedges, failed], [["b won"], []]);
    assert.equal(clock.pending, 0);
  });

  it("throws away an answer that comes after the other", async () => {
    const { clock, ends, answer, held, discarded, hedges } = race();
    await clock.tick(100);
    ends.get("a")?.resolve("from a");
    assert.equal(await answer, "from a");
    ends.get("b")?.resolve("from b");
    await clock.tick(0);
    assert.deepEqual([discarded, [...held], hedges], [["from b"], ["a"], ["b lost"]]);
  });

  it("waits for the second when the first fails, and goes on when both do", async () => {
    const { clock, sent, ends, answer, failed } = race();
    await clock.tick(100);
    ends.get("a")?.reject(fail("reset"));
    await clock.tick(0);
    assert.deepEqual([...sent.keys()], ["a", "b"]);
    ends.get("b")?.reject(fail("refused"));
    await clock.tick(0);
    assert.deepEqual(failed, ["a", "b"]);
    ends.get("c")?.resolve("from c");
    assert.equal(await answer, "from c");
  });

  it("asks nobody else when the first answers or fails in time, or no retry is left", async () => {
    const quick = race();
    await quick.clock.tick(50);
    quick.ends.get("a")?.resolve("from a");
    await quick.clock.tick(1_000);
    assert.equal(quick.sent.size, 1);
    const poor = race({ retries: 0 });
    await poor.clock.tick(1_000);
    assert.equal(poor.sent.size, 1);
    const last = race({ attemptsMax: 1 });
    await last.clock.tick(1_000);
    assert.equal(last.sent.size, 1);
  });

  it("gives the retry back once the second attempt has ended", async () => {
    const { clock, ends, sent } = race({ retries: 1 });
    await clock.tick(100);
    ends.get("b")?.reject(fail("refused"));
    await clock.tick(0);
    ends.get("a")?.reject(fail("refused"));
    await clock.tick(0);
    assert.deepEqual([...sent.keys()], ["a", "b", "c"]);
  });

  it("cancels both when the client leaves", async () => {
    const { clock, client, sent, ends, answer, held } = race();
    await clock.tick(100);
    client.abort();
    for (const key of ["a", "b"]) {
      assert.equal(sent.get(key)?.signal.aborted, true);
      ends.get(key)?.reject(new NexusError("client_closed", "cancelled"));
    }
    assert.equal(await answer, "client_closed");
    assert.equal(held.size, 0);
  });
});

describe("tryCandidates: the end", () => {
  it("gives up at the deadline, cancels the attempt, and never afterwards", async () => {
    const { clock, sent, ends, answer } = race({ keys: ["a"], deadlineAt: 5_000 });
    await clock.tick(5_000);
    assert.equal(sent.get("a")?.signal.aborted, true);
    ends.get("a")?.reject(new NexusError("client_closed", "cancelled"));
    assert.equal(await answer, "first_token_timeout");
    const good = race({ keys: ["a"], deadlineAt: 5_000 });
    await good.clock.tick(0);
    good.ends.get("a")?.resolve("from a");
    await good.answer;
    await good.clock.tick(10_000);
    assert.equal(good.sent.get("a")?.signal.aborted, false);
  });

  it("says that everything was tried, except to those who shall come back", async () => {
    const end = async (failure: AttemptFailure, retries: number) => {
      const limits = { attemptsMax: 2, budget: new RetryBudget({ ratio: 0, min: retries }), clock: new FakeClock() };
      const effects = { next: inOrder(["a", "b"]), send: () => Promise.reject(failure), failed: () => {} };
      const error: unknown = await tryCandidates(effects, { ...limits, signal: new AbortController().signal }).catch(
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof NexusError);
      return error;
    };
    const error = new NexusError("rate_limit_exceeded", "busy", {
      retryAfterSeconds: 7,
      detail: "why",
      param: "model",
    });
    const tried = await end(new AttemptFailure("status", error, 503), 10);
    assert.equal(tried.exhausted, true);
    assert.deepEqual([tried.retryAfterSeconds, tried.detail, tried.param, tried.message], [7, "why", "model", "busy"]);
    assert.equal((await end(new AttemptFailure("status", error, 429), 10)).exhausted, false);
    assert.equal((await end(new AttemptFailure("status", error, 503), 0)).exhausted, false, "a retry might do better");
  });

  it("gives every slot back when nothing answers, and passes on what the queue says", async () => {
    const held = new Set<string>();
    const next = inOrder(["a"], held);
    const full = new NexusError("queue_full", "full", { retryAfterSeconds: 3 });
    const answer = tryCandidates<Keyed, string>(
      {
        next: (tried) => (tried.size === 0 ? next(tried) : Promise.reject(full)),
        send: () => Promise.reject(fail("refused")),
        failed: () => {},
      },
      {
        attemptsMax: 3,
        budget: new RetryBudget({ ratio: 0, min: 3 }),
        signal: new AbortController().signal,
        clock: new FakeClock(),
      },
    );
    await assert.rejects(answer, full);
    assert.equal(held.size, 0);
  });
});
