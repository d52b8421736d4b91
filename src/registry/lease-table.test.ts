import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { LeaseTable } from "./lease-table.ts";

function open() {
  const clock = new FakeClock();
  const expired: string[][] = [];
  const leases = new LeaseTable(clock, (keys) => expired.push([...keys]));
  return { clock, expired, leases };
}

test("leases run out together when their time has come, whatever their order", async () => {
  const { clock, expired, leases } = open();
  leases.grant("slow", 9_000);
  leases.grant("quick", 1_000);
  leases.grant("quick too", 1_000);
  await clock.tick(999);
  assert.deepEqual(expired, []);
  await clock.tick(1);
  assert.deepEqual(expired, [["quick", "quick too"]]);
  await clock.tick(8_000);
  assert.deepEqual(expired.at(-1), ["slow"]);
  assert.equal(clock.pending, 0, "an empty table waits for nothing");
});

test("10,000 leases wait on one timer, and renewing sets none", async () => {
  const { clock, expired, leases } = open();
  const ids = Array.from({ length: 10_000 }, (_, at) => leases.grant(`k${at}`, 10_000).id);
  assert.equal(clock.pending, 1);
  for (let third = 0; third < 6; third++) {
    await clock.tick(3_333);
    for (const id of ids) leases.renew(id);
    assert.equal(clock.pending, 1);
  }
  assert.deepEqual(expired, []);
  assert.equal(leases.size, 10_000);
});

/** A clock whose process may have been stopped: timers fire late. */
class LateClock extends FakeClock {
  lateByMs = 0;

  override monotonic(): number {
    return super.monotonic() + this.lateByMs;
  }
}

test("a process that stood still gives its owners one fresh term", async () => {
  const clock = new LateClock();
  const expired: string[][] = [];
  const leases = new LeaseTable(clock, (keys) => expired.push([...keys]));
  leases.grant("a", 2_000);
  clock.lateByMs = 60_000;
  await clock.tick(2_000);
  assert.deepEqual(expired, []);
  await clock.tick(1_999);
  assert.deepEqual(expired, []);
  await clock.tick(1);
  assert.deepEqual(expired, [["a"]]);
});

test("a key has one lease: the old one is dead, and releasing it does nothing to the new one", () => {
  const { leases } = open();
  const old = leases.grant("a", 1_000);
  const now = leases.grant("a", 1_000);
  assert.equal(leases.keyOf(old.id), undefined);
  assert.equal(leases.keyOf(now.id), "a");
  assert.equal(leases.of("a")?.id, now.id);
  leases.releaseKey("a");
  assert.equal(leases.keyOf(now.id), undefined);
  assert.equal(leases.size, 0);
});
