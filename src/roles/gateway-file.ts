import { readFileSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../base/write-file-atomic.ts";
import { contentDigest } from "../config/content-digest.ts";
import type { DataPaths } from "../config/paths.ts";
import { restartPart } from "../config/restart-keys.ts";
import type { Config } from "../config/schema.ts";

/** The gateway's part of a configuration, as the file that it follows. */
export interface GatewayFile {
  readonly path: string;
  readonly text: string;
}

/** Which settings a gateway has taken over. */
export interface TakenConfig {
  readonly pid: number;
  /** `LoadedConfig.digest` of the file. */
  readonly digest: string;
}

/**
 * The file is named by what a running gateway can't change. So another port is another command, and the gateway is
 * started anew; other routes are other contents, which it takes over, and a new parent adopts it as it is.
 */
export function describeGatewayFile(config: Config, paths: DataPaths): GatewayFile {
  // All but the parent's own sections: a change of those is none of its business.
  const { attach, discovery, services, builtin, models, ...gatewayConfig } = config;
  return {
    path: join(paths.childConfig, `gateway-${contentDigest(restartPart(config))}.json`),
    // JSON is YAML, so the loader reads it as any other file.
    text: `${JSON.stringify(gatewayConfig, null, 2)}\n`,
  };
}

/** Writes it and removes those of earlier starts. */
export async function writeGatewayFile({ path, text }: GatewayFile, paths: DataPaths): Promise<void> {
  await mkdir(paths.childConfig, { recursive: true, mode: 0o700 });
  await writeFileAtomic(path, text);
  const others = (await readdir(paths.childConfig))
    .filter((name) => name.startsWith("gateway-"))
    .map((name) => join(paths.childConfig, name));
  await Promise.all(others.filter((other) => other !== path).map((other) => rm(other, { force: true })));
}

/** Whether the gateway that runs as `pid` has taken over this file. */
export function hasTaken(file: GatewayFile, pid: number | undefined, paths: DataPaths): boolean {
  try {
    const taken = JSON.parse(readFileSync(paths.takenConfig, "utf8")) as TakenConfig;
    return taken.pid === pid && taken.digest === contentDigest(file.text);
  } catch {
    return false;
  }
}
