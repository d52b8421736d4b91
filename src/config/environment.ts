import type { ConfigPath } from "./yaml-source.ts";

/** An environment variable that stands above the file and below the flags. */
export interface EnvironmentOverride {
  readonly name: string;
  readonly path: ConfigPath;
  readonly kind: "text" | "integer" | "boolean";
  readonly meaning: string;
}

/** The short list. What isn't here is set in the file, so that one place tells how a platform is configured. */
export const environmentOverrides: readonly EnvironmentOverride[] = [
  { name: "NEXUS_HOST", path: ["listen", "host"], kind: "text", meaning: "Address to listen on." },
  { name: "NEXUS_PORT", path: ["listen", "port"], kind: "integer", meaning: "TCP port to listen on." },
  { name: "NEXUS_AUTH_MODE", path: ["auth", "mode"], kind: "text", meaning: "`keys` or `none`." },
  { name: "NEXUS_LOG_LEVEL", path: ["logs", "level"], kind: "text", meaning: "The least important lines to write." },
  { name: "NEXUS_BUILTIN_LLM", path: ["builtin", "llm"], kind: "boolean", meaning: "Run the built-in model service." },
  { name: "NEXUS_MODEL", path: ["models", "default"], kind: "text", meaning: "The model of the built-in service." },
];

/** Variables that are read elsewhere: where things are, and who asks. */
export const environmentLocations: Readonly<Record<string, string>> = {
  NEXUS_CONFIG: "The configuration file, as `--config`.",
  NEXUS_DATA: "The data directory, as `--data`.",
  NEXUS_URL: "Verbs talk to the platform at this address instead of this machine's own.",
  NEXUS_API_KEY: "The key that verbs send to NEXUS_URL, and `nexus chat` to the gateway.",
};

/** Set by the platform for the services that it starts; here so that they are not taken for slips of the pen. */
export const serviceVariables: readonly string[] = [
  "NEXUS_BASE_URL",
  "NEXUS_CONTROL_KEY",
  "NEXUS_CONTROL_URL",
  "NEXUS_HOST_ID",
  "NEXUS_INSTANCE",
  "NEXUS_RELEASE",
  "NEXUS_RUN_FILE",
  "NEXUS_SERVICE",
];

/** What one variable says, or why it can't be used. Never repeats the value: it may be a secret put in the wrong place. */
export function readOverride(override: EnvironmentOverride, text: string): { value: unknown } | { problem: string } {
  if (override.kind === "text") return { value: text };
  if (override.kind === "integer") {
    return /^-?\d{1,15}$/.test(text.trim()) ? { value: Number(text) } : { problem: "must be a whole number" };
  }
  const known: Readonly<Record<string, boolean>> = {
    true: true,
    "1": true,
    yes: true,
    false: false,
    "0": false,
    no: false,
  };
  const value = known[text.trim().toLowerCase()];
  return value === undefined ? { problem: "must be true or false" } : { value };
}
