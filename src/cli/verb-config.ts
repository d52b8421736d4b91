import { homedir } from "node:os";
import { type ConfigFlags, type LoadedConfig, loadConfig } from "../config/load.ts";
import type { CliContext } from "./context.ts";
import { findPlatform } from "./platform.ts";

/** The configuration that this command line means. @throws ConfigError */
export function loadVerbConfig(context: CliContext, flags: ConfigFlags): Promise<LoadedConfig> {
  return loadConfig({
    flags,
    environment: context.environment,
    workingDirectory: context.workingDirectory,
    homeDirectory: homedir(),
  });
}

/**
 * The configuration of the platform that runs on this machine: the file that it was started with, unless the command
 * line or NEXUS_CONFIG names another. Without one that runs, what this command line means. @throws ConfigError
 */
export async function loadPlatformConfig(context: CliContext, flags: ConfigFlags): Promise<LoadedConfig> {
  const platform = findPlatform(context, flags);
  const isNamed = flags.config !== undefined || (context.environment.NEXUS_CONFIG ?? "") !== "";
  // A platform elsewhere has its files elsewhere, too.
  if (isNamed || platform.paths === undefined) return await loadVerbConfig(context, flags);
  const status = await platform.status().catch(() => undefined);
  return await loadVerbConfig(context, { ...flags, config: status?.config_file ?? undefined });
}
