import { exitCodes } from "../exit-codes.ts";
import type { ConfigFlag, DataFlag, JsonFlag } from "../flags.ts";
import type { Verb } from "../verb.ts";
import { loadVerbConfig } from "../verb-config.ts";

export interface GatewayFlags extends DataFlag, ConfigFlag, JsonFlag {}

/** `nexus gateway` */
export const gateway: Verb<GatewayFlags, []> = async ({ context }, flags) => {
  const { interrupts, roles, environment } = context;
  const loaded = await loadVerbConfig(context, flags);
  // While it starts nothing is under way: an interrupt ends it at once. One that came before counts, too.
  const release = interrupts.take(() => process.exit(exitCodes.interrupted));
  if (interrupts.signal.aborted) process.exit(exitCodes.interrupted);
  await roles.runGateway({ loaded, environment, onHangup: (reload) => void interrupts.onHangup(reload) });
  // From here on the process is the gateway's: it drains when it is told to stop, and ends the process.
  release();
  interrupts.take(() => {});
  return new Promise<never>(() => {});
};
