import { closeNames } from "../../base/close-names.ts";
import { ConfigError, describeProblem } from "../../config/config-error.ts";
import { type ConfigKey, listConfigKeys, toJsonSchema } from "../../config/config-keys.ts";
import { environmentOverrides } from "../../config/environment.ts";
import type { LoadedConfig } from "../../config/load.ts";
import { configSchema } from "../../config/schema.ts";
import { listSettings, type Setting } from "../../config/settings.ts";
import type { ConfigStatus, ReloadAnswer } from "../../control/config-routes.ts";
import { CliError } from "../cli-error.ts";
import type { CliContext } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import type { ConfigFlag, DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform, type Platform } from "../platform.ts";
import type { Verb } from "../verb.ts";
import { loadPlatformConfig, loadVerbConfig } from "../verb-config.ts";

export interface ConfigVerbFlags extends DataFlag, ConfigFlag, JsonFlag {}

/** `nexus config show` */
export const showConfig: Verb<ConfigVerbFlags, []> = async ({ context }, flags) => {
  const inForce = await askInForce(context, flags);
  const loaded = await loadPlatformConfig(context, flags).catch((error: unknown) => {
    if (inForce === undefined || !(error instanceof ConfigError)) throw error;
    const hint = `In force is still what ${inForce.file ?? "no file"} said at ${inForce.in_force_since}.`;
    throw new CliError(exitCodes.usage, "config_invalid", error.message, { hint });
  });
  const settings = listSettings(loaded.config, loaded.originOf);
  const { terminal } = context;
  const rows = settings.map(({ key, value, origin }) => [
    key,
    formatValue(value),
    { text: origin, style: origin === "default" ? ("dim" as const) : ("cyan" as const) },
  ]);
  return {
    json: { ...describeLoaded(loaded, settings), in_force: inForce ?? null },
    text: [
      ...describePlaces(loaded).map((line) => terminal.paint("dim", line)),
      ...(inForce === undefined ? [] : describeInForce(loaded, inForce)),
      "",
      ...terminal.table(rows, ["KEY", "VALUE", "FROM"]),
    ],
  };
};

/** What the platform of this machine works with; undefined when there is none. */
async function askInForce(context: CliContext, flags: ConfigVerbFlags): Promise<ConfigStatus | undefined> {
  return await findPlatform(context, flags)
    .call<ConfigStatus>({ method: "GET", path: "/v1/nexus/config" })
    .catch(() => undefined);
}

function describeInForce({ file, digest }: LoadedConfig, inForce: ConfigStatus): string[] {
  if (inForce.file === (file ?? null) && inForce.digest === digest)
    return [`in force: since ${inForce.in_force_since}`];
  const { refused } = inForce;
  return [
    `in force: not this, but what ${inForce.file ?? "no file"} said at ${inForce.in_force_since}`,
    ...(refused === null ? [] : [`refused: at ${refused.since}, because`, ...refused.problems.map(describeProblem)]),
  ];
}

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

/** `nexus config reload` */
export const reloadConfig: Verb<DataFlag & JsonFlag, []> = async ({ context }, flags) => {
  const { paint } = context.terminal;
  const answer = await callReload(findPlatform(context, flags));
  const styles = { added: "green", changed: "yellow", removed: "red" } as const;
  const isLate = answer.waiting.length > 0;
  return {
    json: answer,
    text: [
      ...answer.changes.map(({ key, kind }) => `${paint(styles[kind], kind.padEnd(7))}  ${key}`),
      answer.outcome === "unchanged" ? "The configuration is in force already." : "The configuration is in force.",
      ...(isLate ? [`Not yet taken over by: ${answer.waiting.join(", ")}. \`nexus status\` tells more.`] : []),
    ],
    exitCode: isLate ? exitCodes.notReady : exitCodes.ok,
  };
};

/** @throws CliError with status 2 when it is refused, as `config validate` ends. */
async function callReload(platform: Platform): Promise<ReloadAnswer> {
  try {
    return await platform.call<ReloadAnswer>({ method: "POST", path: "/v1/nexus/config/reload", timeoutMs: 30_000 });
  } catch (error) {
    if (!(error instanceof CliError) || error.code !== "config_refused") throw error;
    throw new CliError(exitCodes.usage, error.code, error.message, { hint: "Correct the file and try again." });
  }
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
