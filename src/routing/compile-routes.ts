import { compileGlob, type NameMatcher } from "../base/glob.ts";
import type { RouteConfig, RoutesConfig } from "./config.ts";
import { compileSelector, type Selector, SelectorError } from "./selector.ts";

/** Who may serve a route, and how readily. */
export interface RouteCandidate {
  /** The model that is asked for instead; undefined: the one that the client named. */
  readonly model: string | undefined;
  readonly service: string | undefined;
  readonly where: Selector | undefined;
  /** Undefined: the instance's own. */
  readonly tier: number | undefined;
  readonly weight: number;
}

/** A rule of the operator's for the models of one name, ready for use. */
export interface CompiledRoute {
  /** The name or glob that it was written for. */
  readonly name: string;
  /** The first that fits an instance counts. */
  readonly candidates: readonly RouteCandidate[];
  readonly where: Selector | undefined;
  /** The only zones that a request may go to. */
  readonly residency: ReadonlySet<string> | undefined;
  readonly allowPaid: boolean;
  readonly prefixAffinity: boolean;
  /** How long a lower tier's queue may be before the next tier is used; undefined: any length. */
  readonly overflowAfterMs: number | undefined;
  /** After how long without an answer a second instance is asked, where the operation is idempotent. */
  readonly hedgeAfterMs: number | undefined;
  readonly continueStreams: boolean;
  readonly timeouts: RouteConfig["timeouts"];
}

/** The operator's routes, by exact name and by glob. */
export interface CompiledRoutes {
  readonly exact: ReadonlyMap<string, CompiledRoute>;
  /** The longest first. */
  readonly globs: readonly { readonly matches: NameMatcher; readonly route: CompiledRoute }[];
}

/** What holds where no route names the model. */
export const anyInstance: readonly RouteCandidate[] = [
  { model: undefined, service: undefined, where: undefined, tier: undefined, weight: 1 },
];

/**
 * Makes routes ready for use: once a configuration, not once a request.
 * @throws SelectorError with the path of an expression that can't be used. A configuration that was validated has none.
 */
export function compileRoutes(config: RoutesConfig): CompiledRoutes {
  const routes = config.map(compileRoute);
  const globs = routes.filter(({ name }) => name.includes("*"));
  return {
    exact: new Map(routes.filter(({ name }) => !name.includes("*")).map((route) => [route.name, route])),
    globs: globs
      .sort((left, right) => right.name.length - left.name.length)
      .map((route) => ({ matches: compileGlob(route.name), route })),
  };
}

function compileRoute(config: RouteConfig, at: number): CompiledRoute {
  const { candidates, residency, overflow, hedge, ...rest } = config;
  const path = `routes[${at}]`;
  return {
    name: rest.model,
    candidates:
      candidates?.map(({ model, service, where, tier, weight }, index) => ({
        model,
        service,
        where: compileAt(`${path}.candidates[${index}].where`, where),
        tier,
        weight,
      })) ?? anyInstance,
    where: compileAt(`${path}.where`, rest.where),
    residency: residency === undefined ? undefined : new Set(residency),
    allowPaid: rest.allowPaid,
    prefixAffinity: rest.prefixAffinity,
    overflowAfterMs: overflow?.afterMs,
    hedgeAfterMs: hedge?.afterMs,
    continueStreams: rest.continueStreams,
    timeouts: rest.timeouts,
  };
}

function compileAt(path: string, source: string | undefined): Selector | undefined {
  if (source === undefined) return undefined;
  try {
    return compileSelector(source);
  } catch (error) {
    throw error instanceof SelectorError ? new SelectorError(`${path}: ${error.message}`) : error;
  }
}

/**
 * The route for a model that goes by several names, the one that the client wrote first: an exact one for the first
 * name that has one, else the longest glob that fits any of them.
 */
export function findRoute(routes: CompiledRoutes, names: Iterable<string>): CompiledRoute | undefined {
  const all = [...names];
  for (const name of all) {
    const route = routes.exact.get(name);
    if (route !== undefined) return route;
  }
  return routes.globs.find(({ matches }) => all.some(matches))?.route;
}
