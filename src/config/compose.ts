import type { z } from "zod";
import { ConfigError, type ConfigProblem } from "./config-error.ts";
import { toJsonSchema } from "./config-keys.ts";
import { describeConfigIssues } from "./problems.ts";
import type { ConfigPath, YamlSource } from "./yaml-source.ts";

/** Who decided a value. Later ones win. */
export type ConfigOrigin = "default" | "file" | "env" | "flag";

/** One value from the environment or the command line. */
export interface ConfigOverride {
  readonly origin: "env" | "flag";
  /** `NEXUS_PORT`, `--port`: where to look when it is wrong. */
  readonly label: string;
  readonly path: ConfigPath;
  readonly value: unknown;
}

export interface ConfigFile {
  /** As messages name it. */
  readonly name: string;
  readonly source: YamlSource;
}

export interface ComposedConfig<T> {
  readonly config: T;
  /** Who decided the value at a path. A group of several origins has the strongest of them. */
  originOf(path: ConfigPath): ConfigOrigin;
  /** Where the value at a path was written, or would be: `nexus.yaml:12`, `NEXUS_PORT`. */
  whereIs(path: ConfigPath): string;
}

/**
 * File, overrides and the schema's defaults become one configuration, frozen to its depth.
 * @throws ConfigError with every problem that was found.
 */
export function composeConfig<S extends z.ZodType>(
  schema: S,
  file: ConfigFile | undefined,
  overrides: readonly ConfigOverride[],
): ComposedConfig<z.output<S>> {
  refuseBrokenFile(file);
  const fileValue = file?.source.value;
  const merged = overrides.reduce(applyOverride, structuredClone(fileValue ?? {}));
  const parsed = schema.safeParse(merged);
  if (!parsed.success) {
    throw new ConfigError(
      sortProblems(
        describeConfigIssues(parsed.error.issues, {
          schema: toJsonSchema(schema),
          whereIs: (path) => whereIs(path, file, overrides),
        }),
      ),
    );
  }
  return {
    config: deepFreeze(parsed.data),
    originOf: (path) => originOf(path, fileValue, overrides),
    whereIs: (path) => whereIs(path, file, overrides),
  };
}

function refuseBrokenFile(file: ConfigFile | undefined): void {
  if (file === undefined) return;
  const { errors, value } = file.source;
  if (errors.length > 0) {
    throw new ConfigError(errors.map(({ line, message }) => ({ where: `${file.name}:${line}`, path: "", message })));
  }
  if (value !== undefined && !isPlainObject(value)) {
    throw new ConfigError([{ where: `${file.name}:1`, path: "", message: "must be a map of keys, such as `listen:`" }]);
  }
}

/** What stands in the way of an override is left there: the schema then says what is wrong with it. */
function applyOverride(root: unknown, { path, value }: ConfigOverride): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  if (root !== undefined && !isPlainObject(root)) return root;
  return { ...root, [key]: applyOverride(root?.[key], { origin: "env", label: "", path: rest, value }) };
}

function whereIs(path: ConfigPath, file: ConfigFile | undefined, overrides: readonly ConfigOverride[]): string {
  const override = overrides.findLast((candidate) => startsWith(path, candidate.path));
  if (override !== undefined) return override.label;
  return file === undefined ? "configuration" : `${file.name}:${file.source.lineOf(path)}`;
}

function originOf(path: ConfigPath, fileValue: unknown, overrides: readonly ConfigOverride[]): ConfigOrigin {
  const override = overrides.findLast(
    (candidate) => startsWith(path, candidate.path) || startsWith(candidate.path, path),
  );
  if (override !== undefined) return override.origin;
  return hasPath(fileValue, path) ? "file" : "default";
}

function startsWith(path: ConfigPath, start: ConfigPath): boolean {
  return start.length <= path.length && start.every((part, index) => part === path[index]);
}

function hasPath(value: unknown, path: ConfigPath): boolean {
  let node = value;
  for (const part of path) {
    if (typeof node !== "object" || node === null || !Object.hasOwn(node, part)) return false;
    node = (node as Record<string | number, unknown>)[part];
  }
  return node !== undefined;
}

function isPlainObject(value: unknown): value is Record<string | number, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function lineNumber(problem: ConfigProblem): number {
  return Number(/:(\d+)$/.exec(problem.where)?.[1] ?? 0);
}

function sortProblems(problems: readonly ConfigProblem[]): ConfigProblem[] {
  return problems.toSorted((left, right) => lineNumber(left) - lineNumber(right));
}

/** Freezes a value and all that is in it. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const child of Object.values(value)) deepFreeze(child);
  return Object.freeze(value);
}
