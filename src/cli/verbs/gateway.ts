import type { ConfigFlag, DataFlag, JsonFlag } from "../flags.ts";
import type { Verb } from "../verb.ts";
import { loadVerbConfig } from "../verb-config.ts";

export interface GatewayFlags extends DataFlag, ConfigFlag, JsonFlag {}

/** `nexus gateway` */
export const gateway: Verb<GatewayFlags, []> = async ({ context }, flags) => {
  const loaded = await loadVerbConfig(context, flags);
  // From here on the process is the gateway's: it drains when it is told to stop, and ends the process.
  context.interrupts.take(() => {});
  await context.roles.runGateway({ loaded, environment: context.environment });
  return new Promise<never>(() => {});
};
