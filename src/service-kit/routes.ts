import { NexusError } from "../base/errors.ts";
import type { Exchange } from "./exchange.ts";

/** One thing that the server answers. */
export interface Route {
  readonly method: string;
  /** With a final `*`, everything that begins like it; `{id}` is any one segment. */
  readonly path: string;
  readonly operation: string;
  /** Asked every few seconds by whoever watches: logged at `debug` only. */
  readonly isProbe?: boolean;
  /** Answered over a WebSocket. */
  readonly isSocket?: boolean;
  /** Answers to the end, or throws what then becomes the error answer. */
  serve(exchange: Exchange): Promise<void>;
}

export type RouteMatch =
  | { readonly kind: "route"; readonly route: Route }
  /** The path exists for these methods only. */
  | { readonly kind: "wrong-method"; readonly allowed: readonly string[] }
  | { readonly kind: "unknown" };

/** Finds the route of a request. `HEAD` is answered as `GET`: Node leaves the body out. */
export function matchRoute(routes: readonly Route[], method: string, path: string): RouteMatch {
  const here = routes.filter((route) => matchesPath(route.path, path));
  if (here.length === 0) return { kind: "unknown" };
  const wanted = method === "HEAD" ? "GET" : method;
  const route = here.find((candidate) => candidate.method === wanted);
  if (route !== undefined) return { kind: "route", route };
  return { kind: "wrong-method", allowed: [...new Set(here.map((candidate) => candidate.method))] };
}

function matchesPath(pattern: string, path: string): boolean {
  if (pattern.includes(idMark)) return idIn(pattern, path) !== undefined;
  if (!pattern.endsWith("*")) return path === pattern;
  const start = pattern.slice(0, -1);
  return path.length > start.length && path.startsWith(start);
}

const idMark = "{id}";

/** The segment of a path that stands where the pattern has `{id}`, as it came. */
function idIn(pattern: string, path: string): string | undefined {
  const [before = "", after = ""] = pattern.split(idMark);
  if (!path.startsWith(before) || !path.endsWith(after)) return undefined;
  const id = path.slice(before.length, path.length - after.length);
  return id === "" || id.includes("/") ? undefined : id;
}

/**
 * What stands for a pattern's `{id}`, decoded; empty when it has none. Throws `not_found` for a broken escape, and for
 * `.` and `..`: in a path that is asked for elsewhere they would lead to another one.
 */
export function idOf(pattern: string, target: string | undefined): string {
  if (!pattern.includes(idMark)) return "";
  const id = decode(idIn(pattern, pathOf(target)) ?? "");
  if (id === "." || id === "..") throw new NexusError("not_found", "The path has no id that can be one.");
  return id;
}

/** The path of a request target, without its query. */
export function pathOf(target: string | undefined): string {
  return (target ?? "").split("?", 1)[0] ?? "";
}

/** What follows a route's `*`, decoded. Throws `not_found` for a broken escape. */
export function restOf(route: string, target: string | undefined): string {
  return decode(pathOf(target).slice(route.length - 1));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new NexusError("not_found", "The path is not valid percent-encoding.");
  }
}
