import { NexusError } from "../../src/base/errors.ts";
import type { InstanceRecordInput } from "../../src/contract/instance-record.ts";
import type { Lease, Registry } from "../../src/registry/registry.ts";

export interface RegistryCall {
  readonly name: "register" | "renew" | "deregister";
  readonly leaseId?: string;
  readonly record?: InstanceRecordInput;
}

/** The writing half of a registry: remembers every call and answers as the test wants. */
export class RecordingRegistry implements Pick<Registry, "register" | "renew" | "deregister"> {
  readonly calls: RegistryCall[] = [];
  /** Awaited by every call before it answers: throw or hang here. */
  behave: (call: RegistryCall) => Promise<void> = async () => {};
  #leases = 0;
  #live: string | undefined;
  #ttlMs: number | undefined;
  #waiting: (() => void)[] = [];

  /** Leases last this long, whatever is asked for. */
  grant(ttlMs: number): void {
    this.#ttlMs = ttlMs;
  }

  /** As after a restart without memory: the next renewal fails. */
  forget(): void {
    this.#live = undefined;
  }

  async register(record: InstanceRecordInput, ttlMs: number): Promise<Lease> {
    await this.#note({ name: "register", record });
    this.#live = `lease-${++this.#leases}`;
    return { id: this.#live, ttlMs: this.#ttlMs ?? ttlMs };
  }

  async renew(leaseId: string, record?: InstanceRecordInput): Promise<void> {
    await this.#note({ name: "renew", leaseId, ...(record === undefined ? {} : { record }) });
    if (leaseId !== this.#live) throw new NexusError("lease_expired", "Register again.");
  }

  async deregister(leaseId: string): Promise<void> {
    await this.#note({ name: "deregister", leaseId });
    this.#live = undefined;
  }

  names(): readonly string[] {
    return this.calls.map(({ name, record }) => (name === "renew" && record !== undefined ? "rewrite" : name));
  }

  /** Resolves once a call that fits was made. */
  async seen(fits: (call: RegistryCall) => boolean): Promise<RegistryCall> {
    for (;;) {
      const call = this.calls.find(fits);
      if (call !== undefined) return call;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async #note(call: RegistryCall): Promise<void> {
    this.calls.push(call);
    for (const resolve of this.#waiting.splice(0)) resolve();
    await this.behave(call);
  }
}
