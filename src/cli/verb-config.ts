import { homedir } from "node:os";
import { type ConfigFlags, type LoadedConfig, loadConfig } from "../config/load.ts";
import type { CliContext } from "./context.ts";

/** The configuration that this command line means. @throws ConfigError */
export function loadVerbConfig(context: CliContext, flags: ConfigFlags): Promise<LoadedConfig> {
  return loadConfig({
    flags,
    environment: context.environment,
    workingDirectory: context.workingDirectory,
    homeDirectory: homedir(),
  });
}
