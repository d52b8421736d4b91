import { z } from "zod";
import { pause } from "../base/clock.ts";
import { describeError, NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { InstanceRecord, InstanceRecordInput } from "../contract/instance-record.ts";
import { ChangeFeed } from "./change-feed.ts";
import { ControlClient, type ControlClientOptions } from "./control-client.ts";
import { DurableFile } from "./durable-file.ts";
import type { DrainTarget, Lease, Registry, RegistrySnapshot } from "./registry.ts";
import { readWatchStream } from "./watch-stream.ts";
import { type DecodedSnapshot, decodeSnapshotText, emptySnapshot, encodeSnapshot, SnapshotDecoder } from "./wire.ts";

export interface ControlRegistryOptions extends ControlClientOptions {
  readonly log: Logger;
  /** Where the last view is kept, so that a restart serves at once even while the control is away. */
  readonly cachePath?: string;
  /** Starts the watch now. Default: at the first `current`, `onChange` or `ready`; who only registers never watches. */
  readonly watch?: boolean;
  /** Silence after which a watch is taken for dead. Default 8 s: one comment of the server, every 5 s, may be late. */
  readonly silenceMsMax?: number;
  /** How long instances stay that a registry does not list when it is back. Default 10 s, the term of a lease. */
  readonly absentMsMax?: number;
  /** 0 to 1, spreads reconnects. Default `Math.random`. */
  readonly random?: () => number;
}

/** The registry of another process. */
export interface ControlRegistry extends Registry {
  /** Resolves with the first snapshot, from the network or from the disk; rejects when it is closed before. */
  ready(): Promise<void>;
  /** Why the view is stale or its copy on disk is behind. Undefined while all is well. */
  problem(): string | undefined;
}

/** Reconnects start soon and become rarer: the control comes back in well under a second when it is only restarted. */
const backoffMsMin = 100;
const backoffMsMax = 2_000;

/**
 * The registry over the control API. While the control is away, `current` keeps answering with what was last seen,
 * flagged stale, and nothing is dropped; when it is back, instances that it does not list yet stay for one term of a
 * lease, because a registry that lost its memory hears of them at their next renewal.
 * @throws NexusError `invalid_request` when the URL is of no known kind.
 */
export function createControlRegistry(options: ControlRegistryOptions): ControlRegistry {
  return new RemoteRegistry(options);
}

const leaseAnswerSchema = z.object({ lease: z.object({ id: z.string(), ttl_ms: z.number() }) });

class RemoteRegistry implements ControlRegistry {
  readonly #options: ControlRegistryOptions;
  readonly #client: ControlClient;
  readonly #feed: ChangeFeed;
  readonly #cache: DurableFile | undefined;
  readonly #closing = new AbortController();
  readonly #ready = Promise.withResolvers<void>();
  #watching: Promise<void> | undefined;
  /** What the control said last, in this life or the one before. */
  #received: DecodedSnapshot = emptySnapshot;
  /** Instances that it does not list since it is back. */
  readonly #absent = new Map<string, InstanceRecord>();
  #cancelAbsence: (() => void) | undefined;
  /** Whether a watch is open and has delivered. */
  #isLive = false;
  /** Why none is, once one has failed. */
  #awayBecause: string | undefined;
  #snapshot: RegistrySnapshot = Object.freeze({ ...emptySnapshot, stale: true });

  constructor(options: ControlRegistryOptions) {
    this.#options = options;
    const { cachePath, clock, log } = options;
    this.#client = new ControlClient(options);
    this.#feed = new ChangeFeed(() => this.#snapshot, log);
    this.#ready.promise.catch(() => {});
    if (cachePath !== undefined) {
      const render = () => `${encodeSnapshot(this.#snapshot)}\n`;
      this.#cache = new DurableFile({ path: cachePath, clock, log, render });
      const cached = this.#cache.load((text) => decodeSnapshotText(text));
      if (cached !== undefined) {
        this.#received = cached;
        this.#publish();
        this.#ready.resolve();
      }
    }
    if (options.watch === true) this.#startWatch();
  }

  current(): RegistrySnapshot {
    this.#startWatch();
    return this.#snapshot;
  }

  onChange(listener: (snapshot: RegistrySnapshot) => void): () => void {
    this.#startWatch();
    return this.#feed.onChange(listener);
  }

  ready(): Promise<void> {
    this.#startWatch();
    return this.#ready.promise;
  }

  problem(): string | undefined {
    return this.#awayBecause ?? this.#cache?.problem;
  }

  async register(record: InstanceRecordInput, ttlMs: number): Promise<Lease> {
    const answer = await this.#client.call("POST", "/v1/nexus/registry/instances", { record, ttl_ms: ttlMs });
    const parsed = leaseAnswerSchema.safeParse(answer);
    if (parsed.success) return { id: parsed.data.lease.id, ttlMs: parsed.data.lease.ttl_ms };
    throw new NexusError("registry_unavailable", "The registry's address answers, but not as a registry.");
  }

  async renew(leaseId: string, record?: InstanceRecordInput): Promise<void> {
    await this.#client.call("PUT", leasePath(leaseId), record === undefined ? {} : { record });
  }

  async deregister(leaseId: string): Promise<void> {
    await this.#client.call("DELETE", leasePath(leaseId));
  }

  async drain(target: DrainTarget, reason: string): Promise<void> {
    await this.#client.call("POST", "/v1/nexus/drains", { kind: target.kind, name: target.name, reason });
  }

  async undrain(target: DrainTarget): Promise<void> {
    await this.#client.call("DELETE", "/v1/nexus/drains", { kind: target.kind, name: target.name });
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new NexusError("draining", "The registry's client is closed."));
    this.#ready.reject(this.#closing.signal.reason);
    this.#cancelAbsence?.();
    this.#feed.close();
    await Promise.all([this.#client.close(), this.#watching, this.#cache?.close()]);
  }

  #startWatch(): void {
    if (!this.#closing.signal.aborted) this.#watching ??= this.#watch();
  }

  async #watch(): Promise<void> {
    const { clock, random = Math.random } = this.#options;
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted; failures++) {
      const startedAt = clock.monotonic();
      try {
        await this.#watchOnce();
      } catch (error) {
        if (signal.aborted) return;
        this.#goneAway(reasonOf(error));
      }
      // One that held for a while was healthy: a restart of the control is not the last of many failures.
      if (clock.monotonic() - startedAt > backoffMsMax) failures = 0;
      const backoffMs = Math.min(backoffMsMax, backoffMsMin * 2 ** Math.min(failures, 10));
      await pause(clock, backoffMs * (0.5 + random() / 2), signal);
    }
  }

  #watchOnce(): Promise<never> {
    const { clock, silenceMsMax = 8_000 } = this.#options;
    const decoder = new SnapshotDecoder(this.#received.instances);
    return readWatchStream({
      client: this.#client,
      path: "/v1/nexus/registry/watch?changes=true",
      clock,
      silenceMsMax,
      signal: this.#closing.signal,
      onEvent: ({ event, data }) => {
        if (event === "snapshot") this.#receive(decoder.snapshotText(data));
        else if (event === "change") this.#receive(decoder.change(JSON.parse(data)));
      },
    });
  }

  #goneAway(reason: string): void {
    if (this.#awayBecause === undefined) {
      this.#options.log.warn({ reason }, "registry is away; the last view keeps serving");
    }
    this.#awayBecause = reason;
    if (!this.#isLive) return;
    this.#isLive = false;
    this.#publish();
  }

  #receive(received: DecodedSnapshot): void {
    if (this.#awayBecause !== undefined) {
      this.#keepAbsent(received);
      this.#awayBecause = undefined;
      this.#options.log.info({ instances: received.instances.size, absent: this.#absent.size }, "registry is back");
    }
    this.#isLive = true;
    this.#received = received;
    this.#publish();
    this.#cache?.touch();
    this.#ready.resolve();
  }

  #keepAbsent(received: DecodedSnapshot): void {
    const { clock, absentMsMax = 10_000 } = this.#options;
    for (const [key, record] of this.#snapshot.instances) {
      if (!received.instances.has(key)) this.#absent.set(key, record);
    }
    this.#cancelAbsence?.();
    this.#cancelAbsence = clock.after(absentMsMax, () => {
      if (this.#absent.size === 0) return;
      this.#absent.clear();
      this.#publish();
    });
  }

  #publish(): void {
    const { instances, revision, stale } = this.#received;
    for (const key of this.#absent.keys()) if (instances.has(key)) this.#absent.delete(key);
    this.#snapshot = Object.freeze({
      ...this.#received,
      // Revisions need not grow from one life of the control to the next; those of this view do.
      revision: Math.max(this.#snapshot.revision + 1, revision),
      instances: this.#absent.size === 0 ? instances : instances.with(this.#absent),
      stale: stale || !this.#isLive,
    });
    this.#feed.announce();
  }
}

function leasePath(leaseId: string): string {
  return `/v1/nexus/registry/leases/${encodeURIComponent(leaseId)}`;
}

/** What is known about it in private: this goes to the log and to the operator. */
function reasonOf(error: unknown): string {
  return error instanceof NexusError && error.detail !== undefined ? error.detail : describeError(error);
}
