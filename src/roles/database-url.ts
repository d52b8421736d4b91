import { NexusError } from "../base/errors.ts";
import type { DataPaths } from "../config/paths.ts";
import type { ResolveSecret } from "../config/secrets.ts";
import { type DatabaseConfig, isPostgresUrl } from "../store/config.ts";

/** Finds the address of the database, which may be a secret. @throws NexusError `invalid_request` that doesn't repeat it. */
export function databaseUrl(config: DatabaseConfig, paths: DataPaths, resolveSecret: ResolveSecret) {
  return async (): Promise<string> => {
    const { url = `sqlite:${paths.database}` } = config;
    const isReference = /^(env|file):/.test(url);
    const address = isReference ? await resolveSecret(url) : url;
    if (isPostgresUrl(address) || address.startsWith("sqlite:")) return address;
    throw new NexusError("invalid_request", `database.url: ${url} holds neither postgres://... nor sqlite:PATH.`);
  };
}
