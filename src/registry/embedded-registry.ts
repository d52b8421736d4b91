import { z } from "zod";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import {
  type InstanceRecord,
  type InstanceRecordInput,
  type Policy,
  policySchema,
} from "../contract/instance-record.ts";
import { parseOrThrow } from "../contract/parse.ts";
import { ChangeFeed } from "./change-feed.ts";
import { deepFreeze } from "./deep-freeze.ts";
import { DurableFile } from "./durable-file.ts";
import { checkTtl, LeaseTable, leaseTtlMsDefault, leaseTtlMsMax } from "./lease-table.ts";
import { parseRecord, recordText } from "./parse-record.ts";
import type { DrainTarget, Lease, Registry, RegistrySnapshot } from "./registry.ts";
import { SortedMap } from "./sorted-map.ts";
import { decodeSnapshot, encodeSnapshot } from "./wire.ts";

export interface EmbeddedRegistryOptions {
  /** Where the state outlives the process. Without it, it does not. */
  readonly snapshotPath?: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Instances at once. Default 20,000: far above any fleet, far below what memory holds. */
  readonly instancesMax?: number;
  /** Characters of all records as JSON. Default 128 Mi, so that a snapshot fits into a string several times over. */
  readonly charactersMax?: number;
}

/** The registry in this process. */
export interface EmbeddedRegistry extends Registry {
  /** What is wrong with it, in words: a disk that takes no snapshot. Undefined while all is well. */
  problem(): string | undefined;
}

/** Refused records kept for the list, the oldest leaving first. */
const rejectedMax = 100;
/** Drains kept at once. */
const drainsMax = 1_000;

/**
 * A registry in memory, with a snapshot on disk that follows it. After a restart every record gets one fresh term of
 * its lease: owners keep their lease ids and simply go on renewing. Drains are on disk before `drain` returns, if the disk
 * takes them: one that is full or read-only never stops the registry, `problem` and the log tell. Reads the snapshot
 * before it returns; one that is broken is put aside.
 */
export function createEmbeddedRegistry(options: EmbeddedRegistryOptions): EmbeddedRegistry {
  return new MemoryRegistry(options);
}

const leasesSchema = z.record(
  z.string(),
  z.object({ id: z.string().min(16).max(128), ttl_ms: z.int().min(1).max(leaseTtlMsMax) }),
);

class MemoryRegistry implements EmbeddedRegistry {
  readonly #options: Required<Omit<EmbeddedRegistryOptions, "snapshotPath">>;
  readonly #file: DurableFile | undefined;
  readonly #feed: ChangeFeed;
  readonly #leases: LeaseTable;
  /** Why records were refused, each for as long as its owner asked to be listed. */
  readonly #rejected = new Map<string, string>();
  readonly #rejectedFor: LeaseTable;
  /** What has changed since `#snapshot` was made; undefined for what is gone. */
  #changes = new Map<string, InstanceRecord | undefined>();
  #isBehind = false;
  #instances = SortedMap.empty<InstanceRecord>();
  #policy: Policy = deepFreeze({ drained: [] });
  #snapshot: RegistrySnapshot;
  #bytes = 0;
  #closed = false;

  constructor(options: EmbeddedRegistryOptions) {
    const { snapshotPath: path, clock, log, instancesMax = 20_000, charactersMax = 128 * 1024 * 1024 } = options;
    this.#options = { clock, log, instancesMax, charactersMax };
    this.#feed = new ChangeFeed(() => this.current(), log);
    this.#leases = new LeaseTable(clock, (keys) => this.#expire(keys));
    this.#rejectedFor = new LeaseTable(clock, (keys) => this.#forgetRejected(keys));
    this.#snapshot = this.#makeSnapshot(0);
    if (path !== undefined) {
      this.#file = new DurableFile({ path, clock, log, render: () => this.#render() });
      this.#file.load((text) => this.#restore(JSON.parse(text)));
    }
    // The clock's part keeps revisions growing even when the snapshot was lost or is older than what was last seen.
    this.#snapshot = this.#makeSnapshot(Math.max(this.#snapshot.revision + 1, Math.floor(clock.now())));
  }

  current(): RegistrySnapshot {
    if (this.#isBehind) this.#snapshot = this.#makeSnapshot(this.#snapshot.revision + 1);
    return this.#snapshot;
  }

  onChange(listener: (snapshot: RegistrySnapshot) => void): () => void {
    return this.#feed.onChange(listener);
  }

  problem(): string | undefined {
    return this.#file?.problem;
  }

  async register(input: InstanceRecordInput, ttlMs: number): Promise<Lease> {
    this.#checkOpen();
    checkTtl(ttlMs);
    const record = this.#parse(input, ttlMs);
    const key = `${record.service}/${record.instance}`;
    this.#put(key, record);
    // The lease is another one even where the record is the same.
    this.#file?.touch();
    return this.#leases.grant(key, ttlMs);
  }

  async renew(leaseId: string, input?: InstanceRecordInput): Promise<void> {
    this.#checkOpen();
    const key = this.#leases.keyOf(leaseId);
    if (key === undefined)
      throw new NexusError("lease_expired", "The lease is unknown or has run out: register again.");
    if (input !== undefined) {
      const record = this.#parse(input, leaseTtlMsDefault);
      if (`${record.service}/${record.instance}` !== key) {
        throw new NexusError("record_invalid", `The lease is for ${key}: register another instance by its own.`);
      }
      this.#put(key, record);
    }
    this.#leases.renew(leaseId);
  }

  async deregister(leaseId: string): Promise<void> {
    this.#checkOpen();
    const key = this.#leases.keyOf(leaseId);
    if (key === undefined) return;
    this.#leases.releaseKey(key);
    this.#set(key, undefined);
  }

  async drain(target: DrainTarget, reason: string): Promise<void> {
    this.#checkOpen();
    const before = this.#policy.drained.find((drain) => isSame(drain, target));
    const since = before?.since ?? new Date(this.#options.clock.now()).toISOString();
    const others = this.#policy.drained.filter((drain) => drain !== before);
    if (others.length >= drainsMax)
      throw new NexusError("conflict", `${drainsMax} drains are the limit: undo some first.`);
    const drain = { kind: target.kind, name: target.name, reason, since };
    await this.#setPolicy(parseOrThrow(policySchema, { drained: [...others, drain] }, "invalid_request", "The drain"));
  }

  async undrain(target: DrainTarget): Promise<void> {
    this.#checkOpen();
    const drained = this.#policy.drained.filter((drain) => !isSame(drain, target));
    if (drained.length !== this.#policy.drained.length) await this.#setPolicy({ drained });
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#feed.close();
      await this.#file?.close();
      this.#leases.close();
      this.#rejectedFor.close();
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new NexusError("draining", "The registry is shutting down.");
  }

  #parse(input: unknown, ttlMs: number): InstanceRecord {
    const parsed = parseRecord(input, this.#snapshot.instances);
    if (parsed.ok) return parsed.record;
    this.#reject(parsed.key ?? "(no name)", parsed.reason, ttlMs);
    const whose = parsed.key === undefined ? "The record" : `The record of ${parsed.key}`;
    throw new NexusError("record_invalid", `${whose} does not follow the contract: ${parsed.reason}.`);
  }

  #put(key: string, record: InstanceRecord): void {
    const { instancesMax, charactersMax } = this.#options;
    const before = this.#get(key);
    if (before === undefined && this.#leases.size >= instancesMax) {
      throw new NexusError("conflict", `The registry holds ${instancesMax} instances, its limit: remove some first.`);
    }
    if (this.#bytes - sizeOf(before) + sizeOf(record) > charactersMax) {
      throw new NexusError(
        "conflict",
        `The registry holds ${charactersMax} characters of records, its limit: remove some first.`,
      );
    }
    this.#forgetRejected([key]);
    if (before !== record) this.#set(key, record);
  }

  #get(key: string): InstanceRecord | undefined {
    return this.#changes.has(key) ? this.#changes.get(key) : this.#instances.get(key);
  }

  #set(key: string, record: InstanceRecord | undefined): void {
    this.#bytes += sizeOf(record) - sizeOf(this.#get(key));
    this.#changes.set(key, record);
    this.#changed();
  }

  #expire(keys: readonly string[]): void {
    for (const key of keys) {
      this.#options.log.warn({ instance: key }, "lease ran out");
      this.#set(key, undefined);
    }
  }

  #reject(key: string, reason: string, ttlMs: number): void {
    if (this.#rejected.get(key) !== reason) {
      this.#options.log.warn({ instance: key, reason }, "record refused");
      this.#rejected.delete(key);
      this.#rejected.set(key, reason);
      const [oldest] = this.#rejected.keys();
      if (this.#rejected.size > rejectedMax && oldest !== undefined) this.#forgetRejected([oldest]);
      this.#changed();
    }
    this.#rejectedFor.grant(key, ttlMs);
  }

  #forgetRejected(keys: readonly string[]): void {
    for (const key of keys) {
      this.#rejectedFor.releaseKey(key);
      if (this.#rejected.delete(key)) this.#changed();
    }
  }

  async #setPolicy(policy: Policy): Promise<void> {
    this.#policy = deepFreeze(policy);
    this.#changed();
    await this.#file?.flush();
  }

  #changed(): void {
    this.#isBehind = true;
    this.#file?.touch();
    this.#feed.announce();
  }

  #makeSnapshot(revision: number): RegistrySnapshot {
    if (this.#changes.size > 0) this.#instances = this.#instances.with(this.#changes);
    this.#changes = new Map();
    this.#isBehind = false;
    const rejected = Object.freeze([...this.#rejected].map(([key, reason]) => Object.freeze({ key, reason })));
    return Object.freeze({ revision, instances: this.#instances, rejected, policy: this.#policy, stale: false });
  }

  #render(): string {
    const snapshot = this.current();
    const leases: Record<string, unknown> = {};
    for (const key of snapshot.instances.keys()) {
      const lease = this.#leases.of(key);
      if (lease !== undefined) leases[key] = { id: lease.id, ttl_ms: lease.ttlMs };
    }
    return `{"leases":${JSON.stringify(leases)},\n"snapshot":${encodeSnapshot(snapshot)}}\n`;
  }

  /** @throws Error when it is no snapshot of a registry; nothing has changed then. */
  #restore(value: unknown): void {
    const { leases: rawLeases, snapshot: rawSnapshot } = (value ?? {}) as { leases?: unknown; snapshot?: unknown };
    const leases = leasesSchema.parse(rawLeases);
    const snapshot = decodeSnapshot(rawSnapshot);
    this.#policy = snapshot.policy;
    for (const { key, reason } of snapshot.rejected.slice(0, rejectedMax)) this.#reject(key, reason, leaseTtlMsDefault);
    for (const [key, record] of snapshot.instances) {
      const lease = leases[key];
      if (lease === undefined) {
        this.#reject(key, "has no lease in the registry's snapshot", leaseTtlMsDefault);
        continue;
      }
      this.#set(key, record);
      this.#leases.grant(key, lease.ttl_ms, lease.id);
    }
    this.#snapshot = this.#makeSnapshot(snapshot.revision);
    this.#options.log.info({ instances: snapshot.instances.size, revision: snapshot.revision }, "registry restored");
  }
}

function isSame(left: DrainTarget, right: DrainTarget): boolean {
  return left.kind === right.kind && left.name === right.name;
}

function sizeOf(record: InstanceRecord | undefined): number {
  return record === undefined ? 0 : recordText(record).length;
}
