import { availableParallelism } from "node:os";
import type { Roles } from "../cli/roles.ts";

/**
 * `nexus gateway`: serves until it is interrupted, in this process, or as the primary of several workers. What each of
 * the two needs is loaded only where it is needed: a primary stays small.
 */
export const runGateway: Roles["runGateway"] = async (request) => {
  const { workers } = request.loaded.config.gateway;
  const count = workers === "auto" ? availableParallelism() : workers;
  if (count > 1) await (await import("./gateway-primary.ts")).runPrimary(request, count);
  else await (await import("./gateway-alone.ts")).runAlone(request);
};
