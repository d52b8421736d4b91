import { type InstanceRecord, instanceKey } from "../contract/instance-record.ts";
import type { Model } from "../contract/metadata.ts";
import type { RegistrySnapshot } from "../registry/registry.ts";

/** One model on one instance. */
export interface Offer {
  /** `<service>/<instance>`. */
  readonly key: string;
  readonly record: InstanceRecord;
  readonly model: Model;
}

/** The fleet by what clients ask for. */
export interface ModelIndex {
  readonly snapshot: RegistrySnapshot;
  /** Offers by model id and by every alias that a service gives its models. */
  readonly offers: ReadonlyMap<string, readonly Offer[]>;
}

/** Records are immutable, so what one offers is worked out once in its life. */
const offersOfRecord = new WeakMap<InstanceRecord, readonly Offer[]>();

function recordOffers(record: InstanceRecord): readonly Offer[] {
  let offers = offersOfRecord.get(record);
  if (offers === undefined) {
    offers = record.metadata.models.map((model) => ({ key: instanceKey(record), record, model }));
    offersOfRecord.set(record, offers);
  }
  return offers;
}

/** A gateway routes to services, never to itself or another gateway: requests could go round in circles. */
function isGateway(record: InstanceRecord): boolean {
  return record.metadata.capabilities.features.includes("nexus-gateway");
}

export function indexModels(snapshot: RegistrySnapshot): ModelIndex {
  const offers = new Map<string, Offer[]>();
  for (const record of snapshot.instances.values()) {
    if (isGateway(record)) continue;
    for (const offer of recordOffers(record)) {
      for (const name of new Set([offer.model.id, ...offer.model.aliases])) {
        const sameName = offers.get(name);
        if (sameName === undefined) offers.set(name, [offer]);
        else sameName.push(offer);
      }
    }
  }
  return { snapshot, offers };
}
