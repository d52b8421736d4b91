import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import type { LogFields, Logger } from "../../src/base/logger.ts";
import type { InstanceRecord } from "../../src/contract/instance-record.ts";
import { authConfigSchema, gatewayConfigSchema } from "../../src/gateway/config.ts";
import { createGateway, type Gateway, type GatewayRules } from "../../src/gateway/create-gateway.ts";
import type { KeyStore } from "../../src/keys/key-store.ts";
import type { PriceList } from "../../src/keys/price-list.ts";
import { batchesConfigSchema, filesConfigSchema, responsesConfigSchema } from "../../src/objects/config.ts";
import { type Objects, openObjects } from "../../src/objects/open-objects.ts";
import { createMetrics } from "../../src/observability/metrics.ts";
import { recordsConfigSchema } from "../../src/records/config.ts";
import { RecordStore } from "../../src/records/record-store.ts";
import type { RegistrySnapshot, RegistryView } from "../../src/registry/registry.ts";
import { routesConfigSchema } from "../../src/routing/config.ts";
import type { FakeBackend } from "../fakes/fake-backend.ts";
import { openTestKeys, type TestKeys } from "./keys.ts";
import { makeRecord, makeSnapshot, type RecordOptions } from "./records.ts";
import { waitFor } from "./wait-for.ts";

/** A fleet that a test changes by hand. */
export class HandView implements RegistryView {
  #snapshot = makeSnapshot([]);
  readonly #listeners = new Set<(snapshot: RegistrySnapshot) => void>();

  current(): RegistrySnapshot {
    return this.#snapshot;
  }

  onChange(listener: (snapshot: RegistrySnapshot) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  set(records: readonly InstanceRecord[], rest: Partial<RegistrySnapshot> = {}): void {
    this.#snapshot = makeSnapshot(records, { revision: this.#snapshot.revision + 1, ...rest });
    for (const listener of this.#listeners) queueMicrotask(() => listener(this.#snapshot));
  }
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** Keeps lines for the test to look at. */
export function recordingLogger(lines: LogLine[], bound: LogFields = {}): Logger {
  const at = (level: string) => (fields: LogFields, message: string) =>
    void lines.push({ level, message, fields: { ...bound, ...fields } });
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => recordingLogger(lines, { ...bound, ...fields }),
  };
}

export interface TestGateway {
  readonly url: string;
  readonly key: string;
  readonly keys: KeyStore;
  /** The database behind it: tenants, usage, and what writes it. */
  readonly desk: TestKeys;
  readonly view: HandView;
  readonly lines: LogLine[];
  /** A request with the key; JSON bodies are stringified. */
  fetch(
    path: string,
    options?: { body?: unknown; headers?: Record<string, string>; method?: string; signal?: AbortSignal },
  ): Promise<Response>;
  /** What `/metrics` says to a key that may read it. */
  metrics(): Promise<string>;
  /** Makes other rules hold; what is left out becomes the default. */
  reload(next: GatewaySections): void;
  /** Resolves with the completion records once there are `count` of them for operations of the fleet. */
  completions(count: number): Promise<readonly LogFields[]>;
  close(): Promise<void>;
}

/** What the operator may change while a gateway runs. */
interface GatewaySections {
  /** Overrides of the `gateway` section. */
  readonly settings?: Record<string, unknown>;
  readonly auth?: "keys" | "none";
  readonly aliases?: Record<string, string>;
  /** The `routes` section. */
  readonly routes?: readonly unknown[];
  /** Overrides of the sections of these names. */
  readonly responses?: Record<string, unknown>;
  readonly files?: Record<string, unknown>;
  readonly batches?: Record<string, unknown>;
}

interface TestGatewayOptions extends GatewaySections {
  /** Follow this view instead of one that is set by hand. */
  readonly view?: RegistryView;
  readonly records?: Record<string, unknown>;
  /** A database to share with other gateways. Default: one of its own. */
  readonly databaseUrl?: string;
  readonly secrets?: Record<string, string>;
  readonly prices?: PriceList;
}

/** A real gateway on a real port, over a fleet that the test sets by hand. */
export async function startTestGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const directory = await mkdtemp(join(tmpdir(), "nexus-gateway-"));
  const lines: LogLine[] = [];
  const desk = await openDesk(directory, options, lines);
  const { key } = await desk.keys.create({ name: `test ${basename(directory)}`, role: "user" });
  const monitor = await desk.keys.create({ name: `monitor ${basename(directory)}`, role: "monitor" });
  const view = new HandView();
  const metrics = createMetrics();
  const gateway: Gateway = await createGateway({
    ...toRules(options),
    listen: { host: "127.0.0.1", port: 0 },
    identity: { version: "0.0.0-test", instance: "gateway-test", host: "test", startedAt: "2026-01-01T00:00:00Z" },
    view: options.view ?? view,
    viewReady: Promise.resolve(),
    keys: desk.cache,
    meter: desk.meter,
    resolveSecret: async (reference) => {
      const secret = options.secrets?.[reference];
      if (secret === undefined) throw new Error("no such secret");
      return secret;
    },
    control: undefined,
    records: new RecordStore({
      settings: recordsConfigSchema.parse(options.records ?? {}),
      directory: join(directory, "requests"),
      writer: "gateway-test",
      clock: systemClock,
      log: recordingLogger(lines),
    }),
    objects: openTestObjects(directory, desk, options, lines),
    metrics,
    log: recordingLogger(lines),
    clock: systemClock,
  });
  return {
    url: gateway.url,
    key,
    keys: desk.keys,
    desk,
    view,
    lines,
    fetch: (target, { body, headers = {}, method, signal } = {}) =>
      fetch(`${gateway.url}${target}`, {
        method: method ?? (body === undefined ? "GET" : "POST"),
        headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      }),
    metrics: () => readMetrics(gateway.url, monitor.key),
    reload: (next) => gateway.reload(toRules(next)),
    completions: (count) => waitForCompletions(lines, count),
    async close() {
      await gateway.close();
      await desk.close();
      metrics.close();
      // What is written behind may still come.
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function readMetrics(url: string, key: string): Promise<string> {
  return await (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${key}` } })).text();
}

function toRules(sections: GatewaySections): GatewayRules {
  const { settings = {}, auth = "keys", aliases = {}, routes = [] } = sections;
  return {
    settings: gatewayConfigSchema.parse(settings),
    auth: authConfigSchema.parse({ mode: auth }),
    aliases,
    routes: routesConfigSchema.parse(routes),
    limits: toLimits(sections),
  };
}

function toLimits({ responses = {}, files = {}, batches = {} }: GatewaySections): GatewayRules["limits"] {
  return {
    responses: responsesConfigSchema.parse(responses),
    files: filesConfigSchema.parse(files),
    batches: batchesConfigSchema.parse(batches),
  };
}

/** Keys as a gateway and its operator have them; problems become log lines. */
function openTestObjects(
  directory: string,
  { database }: TestKeys,
  options: TestGatewayOptions,
  lines: LogLine[],
): Objects {
  return openObjects({
    database,
    directory: join(directory, "files"),
    settings: toLimits(options),
    clock: systemClock,
    log: recordingLogger(lines),
  });
}

function openDesk(
  directory: string,
  { prices, databaseUrl: url }: TestGatewayOptions,
  lines: LogLine[],
): Promise<TestKeys> {
  const onProblem = (error: unknown) => lines.push({ level: "error", message: "keys", fields: { error } });
  const given = { ...(prices === undefined ? {} : { prices }), ...(url === undefined ? {} : { url }) };
  return openTestKeys({ directory, onProblem, ...given });
}

async function waitForCompletions(lines: readonly LogLine[], count: number): Promise<readonly LogFields[]> {
  return await waitFor(`${count} completed requests`, () => {
    const done = lines
      .filter(({ message, fields }) => message === "request completed" && String(fields.operation).endsWith("create"))
      .map(({ fields }) => fields);
    return done.length >= count && done;
  });
}

/** The record of a fake backend, as attaching it would write it. */
export function recordOf(backend: Pick<FakeBackend, "url">, options: RecordOptions = {}): InstanceRecord {
  return makeRecord({
    models: [{ id: "tiny" }],
    readiness_path: "/readyz",
    ...options,
    base_url: backend.url,
  });
}
