import { type Model, modelSchema } from "../contract/metadata.ts";
import { type OperationId, operations, type RoutedOperationId } from "../contract/operations.ts";
import type { Description, Finding, Findings, ModelInput } from "./dialect.ts";

/** More models of one server are not listed: a record has its limit too, and one server must not fill the fleet's. */
export const modelsMax = 1_000;

/** What a dialect has found out; the rest has a default. */
export interface Found extends Pick<Description, "backend" | "readinessPath"> {
  readonly models: readonly (ModelInput | undefined)[];
  /** Default: the usual ones of its models' domains. */
  readonly operations?: readonly RoutedOperationId[];
  /** What such a server offers besides, where it has a model for it. */
  readonly alsoOffers?: readonly RoutedOperationId[];
  readonly maxConcurrency?: number | null;
  /** What it still waits for; ready when there is nothing. */
  readonly waitsFor?: string;
  /** Which answer of the server told the features, such as `/api/show`. */
  readonly source: string;
  /** Features that every chat model has there, as the server's documentation says and no answer does. */
  readonly documented?: readonly string[];
}

/** A description of models that follow the contract: what does not is left out, and never hides the others. */
export function composeDescription(found: Found): Description {
  const models = validModels(found.models);
  return {
    backend: found.backend,
    models,
    operations: found.operations ?? operationsFor(models, found.alsoOffers ?? []),
    maxConcurrency: found.maxConcurrency ?? null,
    readinessPath: found.readinessPath,
    state: found.waitsFor === undefined ? "ready" : "starting",
    stateReason: found.waitsFor ?? "",
    findings: findingsOf(models, found),
  };
}

/** Those that follow the contract, each id once, as many as a server may have. */
export function validModels(inputs: Found["models"]): Model[] {
  const byId = new Map<string, Model>();
  for (const input of inputs) {
    if (byId.size === modelsMax) break;
    const parsed = modelSchema.safeParse(input);
    if (parsed.success && !byId.has(parsed.data.id)) byId.set(parsed.data.id, parsed.data);
  }
  return [...byId.values()];
}

function operationsFor(models: readonly Model[], also: readonly RoutedOperationId[]): OperationId[] {
  const domains = new Set(models.flatMap((model) => model.domains));
  return operations
    .filter(({ id, usual }) => usual || also.some((one) => one === id))
    .filter((operation) => operation.domains.some((domain) => domains.has(domain)))
    .map(({ id }) => id);
}

/** What a server denies needs no finding: the model says `false` then. */
function findingsOf(models: readonly Model[], { source, documented = [], backend }: Found): Findings {
  const findings: Record<string, Findings[string]> = {};
  const findingOf = (feature: string): Finding => ({
    grade: "declared",
    reason: documented.includes(feature) ? `documented for ${backend.name}` : `said by ${source}`,
  });
  for (const { id, features } of models) {
    const declared = Object.keys(features).filter((feature) => features[feature] === true);
    if (declared.length === 0) continue;
    findings[id] = Object.fromEntries(declared.map((feature) => [feature, findingOf(feature)]));
  }
  return findings;
}
