import type { ConfigFlag, DataFlag, JsonFlag } from "../flags.ts";
import type { Verb } from "../verb.ts";
import { loadVerbConfig } from "../verb-config.ts";

export interface GatewayFlags extends DataFlag, ConfigFlag, JsonFlag {}

/** `nexus gateway` */
export const gateway: Verb<GatewayFlags, []> = async ({ context }, flags) => {
  const loaded = await loadVerbConfig(context, flags);
  await context.roles.runGateway({ loaded, environment: context.environment });
  return undefined;
};
