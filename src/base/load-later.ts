import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

/**
 * A package that is loaded when it is first asked for and not with the file that names it: what only some
 * configurations need costs the others neither time at the start nor memory. Loading blocks, for tens of milliseconds
 * with the largest. Write `loadLater<typeof import("NAME")>("NAME")`.
 */
export function loadLater<T>(name: string): () => T {
  let loaded: T | undefined;
  return () => {
    loaded ??= require(name) as T;
    return loaded;
  };
}
