import type { InstanceRecord, InstanceRecordInput, Policy } from "../contract/instance-record.ts";

/** A promise to be renewed. Whoever holds it keeps its record alive. */
export interface Lease {
  /** Unguessable: knowing it is the right to renew and deregister. */
  readonly id: string;
  /** Renew well within this; a third is customary. */
  readonly ttlMs: number;
}

/** A record that does not follow the contract: listed with its reason, never routed, never in the way of others. */
export interface RejectedRecord {
  readonly key: string;
  readonly reason: string;
}

/** One consistent view of the fleet. Immutable: a change makes a new one. */
export interface RegistrySnapshot {
  /** Grows with every change; compares only within one registry's life. */
  readonly revision: number;
  /** By `<service>/<instance>`, in the order of their keys. */
  readonly instances: ReadonlyMap<string, InstanceRecord>;
  readonly rejected: readonly RejectedRecord[];
  readonly policy: Policy;
  /** True while the registry cannot be reached and this is the last that was seen of it. */
  readonly stale: boolean;
}

/** Reads the fleet. What routing needs, and all that it needs. */
export interface RegistryView {
  /** The newest snapshot, at once and without I/O. */
  current(): RegistrySnapshot;
  /** Calls `listener` after every change until the returned function is called. Never calls it synchronously. */
  onChange(listener: (snapshot: RegistrySnapshot) => void): () => void;
}

export type DrainTarget = Pick<Policy["drained"][number], "kind" | "name">;

/**
 * Where instances live. Implementations: embedded (in process, snapshot on disk), control (over HTTP from another
 * process), static file (read only). All pass `test/integration/registry-contract.ts`.
 */
export interface Registry extends RegistryView {
  /**
   * Adds a record or replaces the one with its key, under a lease of `ttlMs`. A record of a live lease is replaced
   * too: a restarted service must not wait for its own ghost.
   * @throws NexusError `record_invalid` when the record does not follow the contract.
   */
  register(record: InstanceRecordInput, ttlMs: number): Promise<Lease>;
  /**
   * Keeps the record alive for another `ttlMs`; with `record`, replaces it too.
   * @throws NexusError `lease_expired` when the lease is unknown: register again.
   */
  renew(leaseId: string, record?: InstanceRecordInput): Promise<void>;
  /** Takes the record away at once. Unknown leases are no error. */
  deregister(leaseId: string): Promise<void>;
  /** Stops new requests to a host, service or instance, durably. */
  drain(target: DrainTarget, reason: string): Promise<void>;
  undrain(target: DrainTarget): Promise<void>;
  /** Stops timers and watches and writes what must be kept. Idempotent. */
  close(): Promise<void>;
}
