import type { ConfigOrigin } from "./compose.ts";
import { formatPath } from "./config-error.ts";
import type { ConfigPath } from "./yaml-source.ts";

/** One value in force. */
export interface Setting {
  /** `services[0].command` */
  readonly key: string;
  readonly value: unknown;
  readonly origin: ConfigOrigin;
}

/** Every value of a configuration with who decided it, in the schema's order. Groups are opened, plain lists are not. */
export function listSettings(config: unknown, originOf: (path: ConfigPath) => ConfigOrigin): Setting[] {
  return walk(config, []).map(({ path, value }) => ({ key: formatPath(path), value, origin: originOf(path) }));
}

function walk(value: unknown, path: ConfigPath): { path: ConfigPath; value: unknown }[] {
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? value.map((item, index) => [index, item])
    : typeof value === "object" && value !== null
      ? Object.entries(value)
      : [];
  const isPlainList = Array.isArray(value) && value.every((item) => typeof item !== "object" || item === null);
  if (entries.length === 0 || isPlainList) return [{ path, value }];
  return entries.flatMap(([key, child]) => walk(child, [...path, key]));
}
