import { homedir } from "node:os";
import { join } from "node:path";
import { readTextModelSettings, type TextModelSettings } from "@nexus/embeddings/text-models";
import { NexusError } from "nexus/base";

export interface ModerationSettings extends TextModelSettings {
  /** A category is flagged from this score on, 0 to 1. */
  readonly threshold: number;
  /** Where what was learned is kept. */
  readonly workDirectory: string;
}

/**
 * Reads `NEXUS_MODERATION_THRESHOLD`, 0.5 by default, and what every service that reads texts does, under
 * `NEXUS_MODERATION`.
 * @throws NexusError `invalid_request` that names the variable at fault.
 */
export function readModerationSettings(
  variables: Readonly<Record<string, string | undefined>>,
  dataDirectory: string | undefined,
): ModerationSettings {
  const threshold = Number(variables.NEXUS_MODERATION_THRESHOLD || 0.5);
  if (!(threshold > 0 && threshold < 1)) {
    throw new NexusError("invalid_request", "NEXUS_MODERATION_THRESHOLD must be a number between 0 and 1.");
  }
  const data = dataDirectory ?? join(homedir(), ".nexus");
  return {
    ...readTextModelSettings(variables, "NEXUS_MODERATION", data),
    threshold,
    workDirectory: join(data, "moderation"),
  };
}
