import { closeNames } from "../../base/close-names.ts";
import { type ConfigKey, listConfigKeys, toJsonSchema } from "../../config/config-keys.ts";
import { environmentOverrides } from "../../config/environment.ts";
import type { LoadedConfig } from "../../config/load.ts";
import { configSchema } from "../../config/schema.ts";
import { listSettings, type Setting } from "../../config/settings.ts";
import { CliError } from "../cli-error.ts";
import { exitCodes } from "../exit-codes.ts";
import type { ConfigFlag, DataFlag, JsonFlag } from "../flags.ts";
import type { Verb } from "../verb.ts";
import { loadVerbConfig } from "../verb-config.ts";

export interface ConfigVerbFlags extends DataFlag, ConfigFlag, JsonFlag {}

/** `nexus config show` */
export const showConfig: Verb<ConfigVerbFlags, []> = async ({ context }, flags) => {
  const loaded = await loadVerbConfig(context, flags);
  const settings = listSettings(loaded.config, loaded.originOf);
  const { terminal } = context;
  const rows = settings.map(({ key, value, origin }) => [
    key,
    formatValue(value),
    { text: origin, style: origin === "default" ? ("dim" as const) : ("cyan" as const) },
  ]);
  return {
    json: describeLoaded(loaded, settings),
    text: [
      ...describePlaces(loaded).map((line) => terminal.paint("dim", line)),
      "",
      ...terminal.table(rows, ["KEY", "VALUE", "FROM"]),
    ],
  };
};

function describePlaces({ file, paths }: LoadedConfig): string[] {
  return [`file: ${file ?? "none"}`, `data: ${paths.root}`];
}

function describeLoaded({ file, paths, config }: LoadedConfig, settings: readonly Setting[]) {
  return {
    file: file ?? null,
    data: paths.root,
    config,
    origins: Object.fromEntries(settings.map(({ key, origin }) => [key, origin])),
  };
}

function formatValue(value: unknown): string {
  return typeof value === "string" && value !== "" ? value : JSON.stringify(value);
}

/** `nexus config explain KEY`: a key, a group, or whatever has the word in its name. */
export const explainConfig: Verb<ConfigVerbFlags, [key: string]> = async ({ context }, _flags, wanted) => {
  const keys = listConfigKeys(toJsonSchema(configSchema));
  const found = findKeys(keys, wanted);
  if (found.length === 0) throw unknownKey(keys, wanted);
  const { paint } = context.terminal;
  return {
    json: {
      keys: found.map((key) => ({ ...key, default: key.default ?? null, environment: variableOf(key) ?? null })),
    },
    text: found.flatMap((key, index) => [...(index === 0 ? [] : [""]), ...describeKey(key, paint)]),
  };
};

function findKeys(keys: readonly ConfigKey[], wanted: string): readonly ConfigKey[] {
  // `services[0].command` and `services.web.command` mean the key `services[].command` or `services.*.command`.
  const pattern = wanted.replaceAll(/\[\d*\]/g, "[]");
  const matchers: ((key: ConfigKey) => boolean)[] = [
    (key) => key.path === pattern || key.path.startsWith(`${pattern}.`) || key.path.startsWith(`${pattern}[`),
    (key) => matchesNames(key.path, pattern),
    (key) => key.path.toLowerCase().includes(pattern.toLowerCase()),
  ];
  return matchers.map((matches) => keys.filter(matches)).find((found) => found.length > 0) ?? [];
}

function matchesNames(path: string, wanted: string): boolean {
  const parts = path.split(".");
  const given = wanted.split(".");
  return parts.length === given.length && parts.every((part, index) => part === "*" || part === given[index]);
}

function describeKey(key: ConfigKey, paint: (style: "bold" | "dim", text: string) => string): string[] {
  const variable = variableOf(key);
  const fallback = key.required
    ? "required"
    : key.default === undefined
      ? undefined
      : `default ${formatValue(key.default)}`;
  return [
    paint("bold", key.path),
    ...(key.description === "" ? [] : [`  ${key.description}`]),
    paint("dim", `  ${[key.type, fallback].filter((part) => part !== undefined).join("; ")}`),
    ...(variable === undefined ? [] : [paint("dim", `  ${variable} in the environment overrides the file`)]),
  ];
}

function variableOf(key: ConfigKey): string | undefined {
  return environmentOverrides.find((override) => override.path.join(".") === key.path)?.name;
}

function unknownKey(keys: readonly ConfigKey[], wanted: string): CliError {
  const near = closeNames(
    wanted,
    keys.map((key) => key.path),
    3,
  );
  return new CliError(exitCodes.usage, "unknown_key", `There is no setting '${wanted}'.`, {
    hint: near.length === 0 ? "`nexus config show` lists them all." : `Did you mean ${near.join(" or ")}?`,
  });
}

/** `nexus config validate` */
export const validateConfig: Verb<ConfigVerbFlags, []> = async ({ context }, flags) => {
  const loaded = await loadVerbConfig(context, flags);
  context.terminal.note(
    ...loaded.warnings.map((warning) => `${context.terminal.paintNote("yellow", "warning:")} ${warning}`),
  );
  return {
    json: { valid: true, file: loaded.file ?? null, warnings: loaded.warnings },
    text: [loaded.file === undefined ? "No configuration file: the defaults hold." : `${loaded.file} is valid.`],
  };
};
