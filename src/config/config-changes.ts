import { type ConfigProblem, formatPath } from "./config-error.ts";
import { restartKeys } from "./restart-keys.ts";
import type { Config } from "./schema.ts";
import type { ConfigPath } from "./yaml-source.ts";

/** One thing that differs between two configurations. Values are not told: they may be secrets. */
export interface ConfigChange {
  /** `gateway.timeouts.stallMs`; items of lists by their names: `routes[llama*]`. */
  readonly key: string;
  readonly kind: "added" | "changed" | "removed";
  /** In the newer configuration, or where it was in the older one. */
  readonly path: ConfigPath;
}

/** What differs, in the order of the newer configuration, then what is missing there. */
export function compareConfigs(before: Config, after: Config): readonly ConfigChange[] {
  const old = listUnits(before);
  const units = listUnits(after);
  const changes: ConfigChange[] = [];
  for (const [key, { path, json }] of units) {
    const was = old.get(key);
    if (was?.json !== json) changes.push({ key, kind: was === undefined ? "added" : "changed", path });
  }
  for (const [key, { path }] of old) if (!units.has(key)) changes.push({ key, kind: "removed", path });
  return changes.length > 0 ? changes : compareOrder(before, after);
}

/** Why a change can't be made while Nexus runs; empty when it can. `whereIs` is the newer configuration's. */
export function findRestarts(
  changes: readonly ConfigChange[],
  whereIs: (path: ConfigPath) => string,
): readonly ConfigProblem[] {
  return changes.flatMap(({ path }) => {
    const rule = restartKeys.find((each) => each.path.every((part, at) => path[at] === part));
    if (rule === undefined) return [];
    const message = `takes a restart, because ${rule.because}: put it back, or \`nexus down\` and \`nexus up\``;
    return [{ where: whereIs(path), path: formatPath(path), message }];
  });
}

interface Unit {
  readonly path: ConfigPath;
  readonly json: string;
}

/** What is told apart: single values, and the items of lists of groups by what they are called. */
function listUnits(config: Config): ReadonlyMap<string, Unit> {
  const units = new Map<string, Unit>();
  const walk = (value: unknown, key: string, path: ConfigPath): void => {
    if (Array.isArray(value) && value.some(isGroup)) {
      for (const [at, item] of value.entries()) {
        const named = `${key}[${nameOf(item) ?? at}]`;
        units.set(units.has(named) ? `${key}[${at}]` : named, { path: [...path, at], json: JSON.stringify(item) });
      }
    } else if (isGroup(value)) {
      for (const [name, child] of Object.entries(value))
        walk(child, key === "" ? name : `${key}.${name}`, [...path, name]);
    } else if (value !== undefined && !(Array.isArray(value) && value.length === 0)) {
      units.set(key, { path, json: JSON.stringify(value) });
    }
  };
  walk(config, "", []);
  return units;
}

/** Two routes that changed places may mean something else. */
function compareOrder(before: Config, after: Config): readonly ConfigChange[] {
  return Object.entries(after)
    .filter(([section, value]) => JSON.stringify(value) !== JSON.stringify(before[section as keyof Config]))
    .map(([section]) => ({ key: section, kind: "changed", path: [section] }));
}

function isGroup(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function nameOf(item: unknown): string | undefined {
  if (!isGroup(item)) return undefined;
  const name = item.name ?? item.model ?? item.url;
  return typeof name === "string" ? name : undefined;
}
