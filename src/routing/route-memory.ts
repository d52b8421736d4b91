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
  /** The route by the name that the client wrote: the model's own, or an alias of the operator's. */
  readonly routes: Map<string, CompiledRoute | undefined>;
}

/** What a memory is about. */
type MemoryContext = Pick<RoutingContext, "index" | "routes" | "hosts">;

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

  constructor({ index, routes, hosts }: MemoryContext) {
    this.#index = index;
    this.#routes = routes;
    this.#hosts = hosts;
    this.preparations = new PreparationCache(index);
  }

  isFor({ routes, hosts }: MemoryContext): boolean {
    return this.#routes === routes && this.#hosts === hosts;
  }

  /**
   * The route for a model by the name that the client wrote, the one that the operator's alias gives it, or one that a
   * service gives it: `llama3` and `llama3:latest` may be the same.
   */
  routeFor(asked: string, model: string): CompiledRoute | undefined {
    if (this.#routes === undefined) return undefined;
    const known = this.#knownNames(model);
    if (known === undefined) return findRoute(this.#routes, new Set([asked, model]));
    if (!known.routes.has(asked)) {
      known.routes.set(asked, findRoute(this.#routes, new Set([asked, model, ...known.names])));
    }
    return known.routes.get(asked);
  }

  /** Undefined for a model that nobody offers. */
  #knownNames(model: string): KnownNames | undefined {
    const offers = this.#index.offers.get(model);
    if (offers === undefined) {
      this.#names.delete(model);
      return undefined;
    }
    const history = this.#index.historyOf(model);
    const before = this.#names.get(model);
    if (before?.history === history && isStill(before)) return before;
    const signatures = new Set(offers.map((offer) => signatureOf(offer.model)));
    const [signature] = signatures;
    const known = {
      history,
      version: history.version,
      signature: signatures.size === 1 ? signature : undefined,
      names: [...new Set(offers.flatMap((offer) => [...namesOf(offer.model)]))].sort(),
      routes: new Map(),
    };
    this.#names.set(model, known);
    return known;
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
export function memoryOf(context: MemoryContext): RouteMemory {
  let memory = memories.get(context.index);
  if (memory === undefined || !memory.isFor(context)) {
    memory = new RouteMemory(context);
    memories.set(context.index, memory);
  }
  return memory;
}
