import type { Evidence } from "../contract/instance-record.ts";
import type { Domain } from "../contract/metadata.ts";
import type { ModelIndex, Offer } from "../routing/model-index.ts";
import { resolveAlias } from "../routing/plan-route.ts";
import type { GatewayParts } from "./gateway-parts.ts";

/** A feature and how sure the platform is of it. */
export interface GradedFeature {
  readonly value: unknown;
  readonly grade: Evidence["grade"];
}

/** An entry of `GET /v1/models`: OpenAI's fields, then what people miss there. */
export interface ListedModel {
  readonly id: string;
  readonly object: "model";
  /** Seconds since the epoch: when the model was first seen by an instance that is still there. */
  readonly created: number;
  readonly owned_by: string;
  /** Tokens of prompt and answer together: the largest that an instance offers; null when nobody says. */
  readonly context_window: number | null;
  readonly nexus: {
    readonly domains: readonly Domain[];
    readonly features: Readonly<Record<string, GradedFeature>>;
    /** `loaded` where an instance holds it in memory. */
    readonly state: Offer["model"]["state"];
    readonly instances: number;
    /** Those that can take requests now. */
    readonly ready_instances: number;
    readonly alias_of?: string;
  };
}

/** The fleet's models by name, aliases included, as far as they are wanted. */
export function listModels(
  parts: Pick<GatewayParts, "index" | "aliases" | "conditions">,
  isWanted: (name: string) => boolean,
): readonly ListedModel[] {
  const index = parts.index();
  const names = [...new Set([...index.offers.keys(), ...Object.keys(parts.aliases)])].filter(isWanted).sort();
  return names.flatMap((name) => findModel(name, parts) ?? []);
}

/** One model by the name that a client may ask for, or undefined. */
export function findModel(
  name: string,
  parts: Pick<GatewayParts, "index" | "aliases" | "conditions">,
): ListedModel | undefined {
  const index: ModelIndex = parts.index();
  const target = resolveAlias(name, parts.aliases);
  const offers = index.offers.get(target) ?? [];
  const [first] = offers;
  if (first === undefined) return undefined;
  const isReady = ({ record, key }: Offer) =>
    record.state === "ready" && parts.conditions.of(key).unready === undefined;
  const states = new Set(offers.map(({ model }) => model.state));
  const windows = offers.flatMap(({ model }) => model.context_window ?? []);
  const canonical = target === name ? first.model.id : target;
  return {
    id: name,
    object: "model",
    created: Math.min(...offers.map(({ record }) => Math.floor(Date.parse(record.registered_at) / 1000))),
    owned_by: first.record.service,
    context_window: windows.length === 0 ? null : Math.max(...windows),
    nexus: {
      domains: [...new Set(offers.flatMap(({ model }) => model.domains))],
      features: gradeFeatures(offers),
      state: states.has("loaded") ? "loaded" : states.has("loading") ? "loading" : "available",
      instances: offers.length,
      ready_instances: offers.filter(isReady).length,
      ...(canonical === name ? {} : { alias_of: canonical }),
    },
  };
}

/** What any instance offers counts, the best known first: routing finds the instance that has it. */
function gradeFeatures(offers: readonly Offer[]): Record<string, GradedFeature> {
  const rank = { proven: 0, declared: 1, refuted: 2 } as const;
  const graded: Record<string, GradedFeature> = {};
  for (const { record, model } of offers) {
    for (const [feature, value] of Object.entries(model.features)) {
      const grade = record.evidence[model.id]?.[feature]?.grade ?? "declared";
      const known = graded[feature];
      if (known === undefined || rank[grade] < rank[known.grade] || (value === true && known.value === false)) {
        graded[feature] = { value, grade };
      }
    }
  }
  return graded;
}
