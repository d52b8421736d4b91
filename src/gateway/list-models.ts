import type { Evidence } from "../contract/instance-record.ts";
import type { Domain } from "../contract/metadata.ts";
import type { Offer } from "../routing/model-index.ts";
import { offersFor } from "../routing/plan-route.ts";
import { isPaid } from "../routing/static-filter.ts";
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
    /** Its place among the models of its service, from 1: a service lists first what it would rather use. */
    readonly rank: number;
    /** Only instances that cost money serve it. */
    readonly paid: boolean;
    /** Of another name for a model: that model. */
    readonly alias_of?: string;
    /** Of a name whose route asks for other models: those, in the order of its candidates. */
    readonly routes_to?: readonly string[];
  };
}

type ModelParts = Pick<GatewayParts, "index" | "aliases" | "routes" | "conditions">;

/** The fleet's models by name, those of aliases and routes included, as far as they are wanted. */
export function listModels(parts: ModelParts, isWanted: (name: string) => boolean): readonly ListedModel[] {
  const names = new Set([...parts.index().offers.keys(), ...Object.keys(parts.aliases), ...parts.routes.exact.keys()]);
  return [...names]
    .filter(isWanted)
    .sort()
    .flatMap((name) => findModel(name, parts) ?? []);
}

/** Who would serve a name, as far as records and the operator's rules say. */
export function offersOf(name: string, { index, aliases, routes }: Omit<ModelParts, "conditions">) {
  return offersFor(name, { index: index(), aliases, routes });
}

/** One model by the name that a client may ask for, or undefined. */
export function findModel(name: string, parts: ModelParts): ListedModel | undefined {
  const { model: target, models, offers } = offersOf(name, parts);
  const [first] = offers;
  if (first === undefined) return undefined;
  const isReady = ({ record, key }: Offer) =>
    record.state === "ready" && parts.conditions.of(key).unready === undefined;
  const states = new Set(offers.map(({ model }) => model.state));
  const windows = offers.flatMap(({ model }) => model.context_window ?? []);
  const goesElsewhere = models.some((model) => model !== target);
  const canonical = target !== name || goesElsewhere ? target : first.model.id;
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
      rank: Math.min(...offers.map(rankOf)),
      paid: offers.every(({ record }) => isPaid(record)),
      ...(canonical === name ? {} : { alias_of: canonical }),
      ...(goesElsewhere ? { routes_to: models } : {}),
    },
  };
}

function rankOf({ record, model }: Offer): number {
  return record.metadata.models.findIndex(({ id }) => id === model.id) + 1;
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
