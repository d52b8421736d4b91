import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Model } from "../../src/contract/metadata.ts";
import type { Description, Dialect } from "../../src/dialects/dialect.ts";
import { createProbeClient, type Probe } from "../../src/dialects/probe.ts";
import { createDialects, recogniseBackend } from "../../src/dialects/recognise-backend.ts";
import { type FakeBackend, type FakeBackendOptions, type FakeKind, startFakeBackend } from "../fakes/fake-backend.ts";

/** A server as a look at it shows it. */
export interface SeenBackend {
  readonly dialect: Dialect | undefined;
  readonly description: Description;
  readonly models: Readonly<Record<string, Model>>;
}

/** A fake server that ends with its test. */
export async function startBackend(
  test: TestContext,
  kind: FakeKind,
  options: FakeBackendOptions = {},
): Promise<FakeBackend> {
  const backend = await startFakeBackend(kind, options);
  test.after(() => backend.close());
  return backend;
}

/** A probe that ends with its test. */
export function openProbe(test: TestContext, { url }: FakeBackend, key?: string): Probe {
  const client = createProbeClient();
  test.after(() => client.close());
  return client.open(url, key);
}

/** Recognises and describes, and proves that nothing was generated or loaded by it. */
export async function seeBackend(
  test: TestContext,
  backend: FakeBackend,
  { key, dialects = createDialects() }: { readonly key?: string; readonly dialects?: readonly Dialect[] } = {},
): Promise<SeenBackend> {
  const probe = openProbe(test, backend, key);
  const dialect = await recogniseBackend(probe, dialects);
  const description = await dialect?.describe(probe);
  assert.equal(backend.generations, 0, "a look generates nothing");
  assert.equal(backend.loads, 0, "a look loads nothing");
  assert.ok(description, `not described; asked: ${probe.asked.join("; ")}`);
  return { dialect, description, models: Object.fromEntries(description.models.map((model) => [model.id, model])) };
}
