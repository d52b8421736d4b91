import { readFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { closestName } from "../base/close-names.ts";
import { type ComposedConfig, type ConfigFile, type ConfigOverride, composeConfig, deepFreeze } from "./compose.ts";
import { ConfigError, type ConfigProblem } from "./config-error.ts";
import { contentDigest } from "./content-digest.ts";
import { environmentLocations, environmentOverrides, readOverride, serviceVariables } from "./environment.ts";
import { type DataFlags, type DataLocation, locateData, said } from "./locate-data.ts";
import type { DataPaths } from "./paths.ts";
import { type Config, configSchema } from "./schema.ts";
import { parseYamlSource } from "./yaml-source.ts";

/** What the command line may decide. Absent means: not said. */
export interface ConfigFlags extends DataFlags {
  readonly config?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly builtin?: boolean | undefined;
  readonly discovery?: boolean | undefined;
}

export interface LoadConfigInput extends DataLocation {
  readonly flags: ConfigFlags;
}

export interface LoadedConfig extends ComposedConfig<Config> {
  readonly paths: DataPaths;
  /** The file that was read; undefined when there is none. */
  readonly file: string | undefined;
  /** What tells one content of the file from another; of no file, that of an empty one. */
  readonly digest: string;
  /** Where the file is, or is looked for while there is none: the first that is there counts. */
  readonly candidates: readonly string[];
  /** Things that are probably mistakes and stop nothing, such as NEXUS_PROT in the environment. */
  readonly warnings: readonly string[];
  /**
   * Reads the same file again, in the same environment, below the same flags. A file that has gone or is empty is a
   * problem now and not an absence: it may be about to be written. @throws ConfigError
   */
  again(): Promise<LoadedConfig>;
}

/** A configuration file above this is none. */
const fileBytesMax = 1024 * 1024;

/**
 * The configuration: the schema's defaults, below the file (`--config`, else NEXUS_CONFIG, else `nexus.yaml` in the data
 * directory or in the working directory; none is needed), below the environment, below the flags.
 * @throws ConfigError with every problem that was found.
 */
export function loadConfig(input: LoadConfigInput): Promise<LoadedConfig> {
  return load(input, false);
}

async function load(input: LoadConfigInput, isAgain: boolean): Promise<LoadedConfig> {
  const paths = locateData(input);
  const candidates = listCandidates(input, paths);
  const found = await readConfigFile(input, candidates, isAgain);
  const composed = composeConfig(configSchema, found?.file, [
    ...overridesFromEnvironment(input.environment),
    ...overridesFromFlags(input.flags),
  ]);
  const base = found === undefined ? input.workingDirectory : dirname(found.path);
  return {
    ...composed,
    config: deepFreeze(resolvePaths(composed.config, base)),
    paths,
    file: found?.path,
    digest: contentDigest(found?.text ?? ""),
    candidates: found === undefined ? candidates : [found.path],
    warnings: findMisspelt(input.environment),
    again: () => load(found === undefined ? input : { ...input, flags: { ...input.flags, config: found.path } }, true),
  };
}

/** Paths in the file are meant from where the file is, wherever the command was given. */
function resolvePaths(config: Config, base: string): Config {
  const { models, registry, services, database, prices, files } = config;
  return {
    ...config,
    database: database.url?.startsWith("sqlite:")
      ? { url: `sqlite:${resolve(base, database.url.slice("sqlite:".length))}` }
      : database,
    prices: prices.file === undefined ? prices : { file: resolve(base, prices.file) },
    files: files.directory === undefined ? files : { ...files, directory: resolve(base, files.directory) },
    models: models.directory === undefined ? models : { ...models, directory: resolve(base, models.directory) },
    registry: registry.staticFile === undefined ? registry : { staticFile: resolve(base, registry.staticFile) },
    services: services.map((service) =>
      service.cwd === undefined ? service : { ...service, cwd: resolve(base, service.cwd) },
    ),
  };
}

interface FoundFile {
  readonly path: string;
  readonly text: string;
  readonly file: ConfigFile;
}

function listCandidates(input: LoadConfigInput, paths: DataPaths): readonly string[] {
  const named = nameOf(input);
  return named === undefined
    ? [join(paths.root, "nexus.yaml"), join(input.workingDirectory, "nexus.yaml")]
    : [resolve(input.workingDirectory, named)];
}

function nameOf({ flags, environment }: LoadConfigInput): string | undefined {
  return flags.config ?? said(environment.NEXUS_CONFIG);
}

async function readConfigFile(
  input: LoadConfigInput,
  candidates: readonly string[],
  mustHaveContent: boolean,
): Promise<FoundFile | undefined> {
  for (const path of candidates) {
    const name = shortName(input.workingDirectory, path);
    const text = await readText(path, name, nameOf(input) !== undefined);
    if (text === undefined) continue;
    if (mustHaveContent && text.trim() === "") {
      throw new ConfigError([{ where: name, path: "", message: "is empty; write `{}` to have all the defaults" }]);
    }
    return { path, text, file: { name, source: parseYamlSource(text) } };
  }
  return undefined;
}

async function readText(path: string, name: string, mustExist: boolean): Promise<string | undefined> {
  const refuse = (message: string) => new ConfigError([{ where: name, path: "", message }]);
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") {
      if (!mustExist) return undefined;
      throw refuse("no such file");
    }
    throw refuse(`can't be read (${code})`);
  }
  if (bytes.length > fileBytesMax) throw refuse("is larger than 1 MiB");
  return bytes.toString("utf8");
}

function overridesFromEnvironment(environment: LoadConfigInput["environment"]): ConfigOverride[] {
  const problems: ConfigProblem[] = [];
  const overrides: ConfigOverride[] = [];
  for (const override of environmentOverrides) {
    const text = said(environment[override.name]);
    if (text === undefined) continue;
    const read = readOverride(override, text);
    if ("problem" in read) problems.push({ where: override.name, path: "", message: read.problem });
    else overrides.push({ origin: "env", label: override.name, path: override.path, value: read.value });
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return overrides;
}

function overridesFromFlags(flags: ConfigFlags): ConfigOverride[] {
  const table: [label: string, path: readonly string[], value: unknown][] = [
    ["--host", ["listen", "host"], flags.host],
    ["--port", ["listen", "port"], flags.port],
    ["--no-builtin", ["builtin", "llm"], flags.builtin],
    ["--no-discovery", ["discovery", "enabled"], flags.discovery],
  ];
  return table
    .filter(([, , value]) => value !== undefined)
    .map(([label, path, value]) => ({ origin: "flag", label, path, value }));
}

function findMisspelt(environment: LoadConfigInput["environment"]): string[] {
  const known = [...environmentOverrides.map(({ name }) => name), ...Object.keys(environmentLocations)];
  return Object.keys(environment)
    .filter((name) => name.startsWith("NEXUS_") && !known.includes(name) && !serviceVariables.includes(name))
    .flatMap((name) => {
      const meant = closestName(
        name.slice("NEXUS_".length),
        known.map((other) => other.slice("NEXUS_".length)),
      );
      return meant === undefined ? [] : [`${name} is not read; did you mean NEXUS_${meant}?`];
    });
}

function shortName(workingDirectory: string, path: string): string {
  const short = relative(workingDirectory, path);
  return short.startsWith("..") ? path : short;
}
