import type { InstanceRecord, Policy } from "../contract/instance-record.ts";
import type { InstanceCondition, Rejection, RejectionReason, RouteRequest, RoutingContext } from "./route-plan.ts";
import type { Prospect } from "./static-filter.ts";

/** A prospect at this moment, with all that its place in the order depends on. */
export interface Standing {
  readonly prospect: Prospect;
  readonly inFlight: number;
  /** Requests at once. */
  readonly limit: number;
  readonly penalty: number;
  readonly full: boolean;
  readonly waitMs: number;
  /** Undefined when the model is loaded. */
  readonly coldStartMs: number | undefined;
  readonly load: number;
}

function no(key: string, reason: RejectionReason, text: string): Rejection {
  return { key, reason, text };
}

/** What the moment says about prospects: keys, context, drains, probes, passive signals. Made once a request. */
export class LiveFilter {
  readonly #request: RouteRequest;
  readonly #context: RoutingContext;
  /** Undefined when it allows all. */
  readonly #allows: ((model: string) => boolean) | undefined;
  readonly #drains: Drains | undefined;

  constructor(request: RouteRequest, context: RoutingContext, model: string) {
    const { isAllowed } = request;
    this.#request = request;
    this.#context = context;
    this.#drains = drainsOf(context.index.snapshot.policy);
    // Who may use a name may use what the operator lets it mean.
    const allowsAll = isAllowed === undefined || isAllowed(request.model) || isAllowed(model);
    this.#allows = allowsAll ? undefined : isAllowed;
  }

  /** Undefined when the instance can take the request. */
  reject({ offer }: Prospect, condition: InstanceCondition): Rejection | undefined {
    const { key, record, model } = offer;
    if (this.#allows !== undefined && !this.#allows(model.id)) return no(key, "key", "the key may not use this model");
    const { contextTokens } = this.#request;
    if (contextTokens !== undefined && model.context_window !== null && contextTokens.atLeast > model.context_window) {
      const { atLeast, source } = contextTokens;
      return no(
        key,
        "context",
        `the prompt has at least ${atLeast} tokens (${source}), and the model takes ${model.context_window}`,
      );
    }
    const drain = this.#drains?.find(record, key);
    if (drain !== undefined)
      return no(key, "drained", `the ${drain.kind} is drained${drain.reason && `: ${drain.reason}`}`);
    if (condition.unready !== undefined) return no(key, "unready", condition.unready);
    // While the registry is away, what the gateway sees for itself is newer than what the record says.
    if (record.state !== "ready" && !(this.#context.index.snapshot.stale && record.state !== "draining")) {
      return no(key, record.state, record.state_reason || record.state);
    }
    if (condition.ejected !== undefined) return no(key, "ejected", condition.ejected);
    if (condition.limited !== undefined) return no(key, "limited", condition.limited);
    return undefined;
  }

  stand(prospect: Prospect, condition: InstanceCondition): Standing {
    const { offer, weight } = prospect;
    const { inFlight, penalty = 0, full = false } = condition;
    // One that lets nobody in for a moment still has a place in the order.
    const limit = Math.max(1, condition.limit ?? prospect.limit);
    return {
      prospect,
      inFlight,
      limit,
      penalty,
      full,
      waitMs: this.#context.waitMsOf?.(offer.key) ?? 0,
      coldStartMs: offer.model.state === "loaded" ? undefined : this.#coldStartMs(prospect),
      load: (((inFlight + 1) / limit) * (1 + penalty)) / weight,
    };
  }

  #coldStartMs({ offer: { model, record } }: Prospect): number {
    const learned = this.#context.coldStartMsOf?.(model.id, record.host);
    const { warmup_seconds: declared } = record.metadata.requires;
    return learned ?? (declared === undefined ? guessColdStartMs(model.size_bytes) : declared * 1000);
  }
}

/** What a disk reads in a second: the limit of SATA. Most are slower or faster by less than a factor of four. */
const diskBytesPerSecond = 500e6;

/** A first guess, until a load was seen: the file is read once. Half a minute where not even its size is known. */
function guessColdStartMs(sizeBytes: number | null): number {
  return sizeBytes === null ? 30_000 : 1_000 + (sizeBytes / diskBytesPerSecond) * 1_000;
}

type Drain = Policy["drained"][number];

/** Drains by what they are of. A look-up costs the same however many there are. */
class Drains {
  readonly #byKind: Readonly<Record<Drain["kind"], ReadonlyMap<string, Drain>>>;

  constructor(drained: readonly Drain[]) {
    const of = (kind: Drain["kind"]) =>
      new Map(drained.filter((drain) => drain.kind === kind).map((drain) => [drain.name, drain]));
    this.#byKind = { host: of("host"), service: of("service"), instance: of("instance") };
  }

  find(record: InstanceRecord, key: string): Drain | undefined {
    const { host, service, instance } = this.#byKind;
    return host.get(record.host) ?? service.get(record.service) ?? instance.get(key);
  }
}

const drainsOfPolicy = new WeakMap<Policy, Drains>();

function drainsOf(policy: Policy): Drains | undefined {
  if (policy.drained.length === 0) return undefined;
  let drains = drainsOfPolicy.get(policy);
  if (drains === undefined) {
    drains = new Drains(policy.drained);
    drainsOfPolicy.set(policy, drains);
  }
  return drains;
}
