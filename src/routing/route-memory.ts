import { type CompiledRoute, type CompiledRoutes, findRoute } from "./compile-routes.ts";
import type { HostFacts } from "./facts.ts";
import { type ModelIndex, namesOf, type OfferHistory } from "./model-index.ts";
import { PreparationCache } from "./preparation.ts";
import type { RoutingContext } from "./route-plan.ts";

interface KnownNames {
  readonly history: OfferHistory;
  readonly version: number;
  /** Of every offer's model, where all have the same names. */
  readonly signature: string | undefined;
  readonly names: readonly string[];
}

/**
 * What was worked out for an index, its routes and its hosts, so that a request need not work it out again. It decides
 * nothing: without it every answer would be the same, later.
 */
export class RouteMemory {
  readonly preparations: PreparationCache;
  readonly #index: ModelIndex;
  readonly #routes: CompiledRoutes | undefined;
  readonly #hosts: ReadonlyMap<string, HostFacts> | undefined;
  readonly #names = new Map<string, KnownNames>();

  constructor({ index, routes, hosts }: RoutingContext) {
    this.#index = index;
    this.#routes = routes;
    this.#hosts = hosts;
    this.preparations = new PreparationCache(index);
  }

  isFor({ routes, hosts }: RoutingContext): boolean {
    return this.#routes === routes && this.#hosts === hosts;
  }

  /**
   * The route for a model by the name that the client wrote, the one that the operator's alias gives it, or one that a
   * service gives it: `llama3` and `llama3:latest` may be the same.
   */
  routeFor(asked: string, model: string): CompiledRoute | undefined {
    if (this.#routes === undefined) return undefined;
    return findRoute(this.#routes, new Set([asked, model, ...this.#namesOf(model)]));
  }

  #namesOf(model: string): readonly string[] {
    const offers = this.#index.offers.get(model);
    if (offers === undefined) {
      this.#names.delete(model);
      return [];
    }
    const history = this.#index.historyOf(model);
    const known = this.#names.get(model);
    if (known?.history === history && isStill(known)) return known.names;
    const signatures = new Set(offers.map((offer) => signatureOf(offer.model)));
    const names = [...new Set(offers.flatMap((offer) => [...namesOf(offer.model)]))].sort();
    const [signature] = signatures;
    this.#names.set(model, {
      history,
      version: history.version,
      signature: signatures.size === 1 ? signature : undefined,
      names,
    });
    return names;
  }
}

/** Whether all that has come and gone since has the names that all have. */
function isStill({ history, version, signature }: KnownNames): boolean {
  if (history.version === version) return true;
  const steps = signature === undefined ? undefined : history.since(version);
  return steps?.every(({ offer }) => signatureOf(offer.model) === signature) ?? false;
}

function signatureOf(model: Parameters<typeof namesOf>[0]): string {
  return model.aliases.length === 0 ? model.id : [...namesOf(model)].join("\n");
}

const memories = new WeakMap<ModelIndex, RouteMemory>();

/** The memory of a context. Other routes or other hosts begin a new one. */
export function memoryOf(context: RoutingContext): RouteMemory {
  let memory = memories.get(context.index);
  if (memory === undefined || !memory.isFor(context)) {
    memory = new RouteMemory(context);
    memories.set(context.index, memory);
  }
  return memory;
}
