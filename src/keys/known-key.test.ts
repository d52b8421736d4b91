import assert from "node:assert/strict";
import { test } from "node:test";
import { isAddressRange, type KeyRecord, type Limits, limitsSchema, type TenantRecord } from "./key-record.ts";
import { toKnownKey } from "./known-key.ts";

function known(limits: Limits, tenantLimits: Limits = {}) {
  const created_at = "2026-11-23T00:00:00.000Z";
  const tenant: TenantRecord = { id: "ten_1", name: "acme", limits: tenantLimits, created_at };
  const record: KeyRecord = {
    id: "key_1",
    name: "k",
    tenant_id: "ten_1",
    role: "user",
    secrets: [],
    hint: "nxs_",
    is_weak: false,
    limits,
    created_at,
    expires_at: null,
    revoked_at: null,
  };
  return toKnownKey(record, tenant);
}

// proves: keys.allow-lists
test("addresses: IPv4 and IPv6, ranges and single ones, however the socket writes them", () => {
  const key = known({ addresses: ["10.0.0.0/8", "192.168.1.7", "2001:db8::/32"] });
  for (const address of ["10.255.0.1", "::ffff:10.1.2.3", "192.168.1.7", "2001:db8:1::9"]) {
    assert.equal(key.allowsAddress(address), true, address);
  }
  for (const address of ["11.0.0.1", "192.168.1.8", "2001:db9::1", "::1", "", "10.0.0.1.evil", "fe80::1%eth0"]) {
    assert.equal(key.allowsAddress(address), false, address);
  }
  assert.equal(known({}).allowsAddress("203.0.113.5"), true);
});

// proves: keys.allow-lists
test("models and operations: what both the key and its tenant allow", () => {
  const key = known({ models: ["llama*", "gpt-4o"], operations: ["chat.*"] }, { models: ["*-8b", "gpt-4o"] });
  const allowed = ["llama-3-8b", "gpt-4o", "llama-3-70b", "qwen-8b", "GPT-4o"].filter(key.allowsModel);
  assert.deepEqual(allowed, ["llama-3-8b", "gpt-4o"]);
  assert.equal(key.allowsOperation("chat.completions.create"), true);
  assert.equal(key.allowsOperation("embeddings.create"), false);
});

test("a class is never above what is allowed, and the default one when none is asked for", () => {
  assert.equal(known({}).priorityOf(undefined), "default");
  assert.equal(known({}).priorityOf("interactive"), "interactive");
  assert.equal(known({ priority_max: "default" }).priorityOf("interactive"), "default");
  assert.equal(known({}, { priority_max: "batch" }).priorityOf(undefined), "batch");
  assert.equal(known({ priority_max: "default" }).priorityOf("batch"), "batch");
});

test("only limits that must be counted are", () => {
  assert.deepEqual(known({ models: ["a"], priority_max: "batch" }, { budgets: [] }).scopes, []);
  assert.equal(known({ concurrency: 1 }, { budgets: [{ unit: "usd", amount: 1, period: "day" }] }).scopes.length, 2);
});

test("limits that make no sense are refused", () => {
  for (const text of ["10.0.0.0/33", "10.0.0/8", "::/129", "1.2.3.4/8/8", "fe80::1%eth0", "all", "10.0.0.0/", "/8"]) {
    assert.equal(isAddressRange(text), false, text);
  }
  const day = { unit: "usd", amount: 1, period: "day" };
  for (const limits of [
    { requests_per_minute: 0 },
    { requests_per_hour: 5 },
    { models: [] },
    { addresses: ["everywhere"] },
    { budgets: [day, { ...day, amount: 2 }] },
    { budgets: [{ ...day, amount: -1 }] },
  ]) {
    assert.equal(limitsSchema.safeParse(limits).success, false, JSON.stringify(limits));
  }
});
