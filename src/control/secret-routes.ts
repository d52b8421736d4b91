import { z } from "zod";
import { NexusError } from "../base/errors.ts";
import { parseOrThrow } from "../contract/parse.ts";
import type { RegistryView } from "../registry/registry.ts";
import type { ControlRoutes } from "./server.ts";

const requestSchema = z.strictObject({
  reference: z
    .string()
    .regex(/^(?:env|command):/)
    .max(1024),
});

/** Where the gateway asks. Not below `/v1/nexus`, the only paths that the gateway relays: no key leads here. */
export const secretPath = "/internal/secrets/resolve";

/**
 * Tells the gateway what `env:NAME` means in the environment of `nexus up`, and what `command:LINE` prints there: its own
 * environment holds no secrets, so that it can be adopted by a parent that was started from another shell. Only references of records in force are answered, and
 * the platform's own.
 */
export function secretRoutes(
  registry: RegistryView,
  resolveSecret: (reference: string) => Promise<string>,
  own: readonly string[] = [],
): ControlRoutes {
  return (server) => {
    server.post(secretPath, async (request) => {
      const { reference } = parseOrThrow(requestSchema, request.body, "invalid_request", "The reference");
      const isInForce =
        own.includes(reference) ||
        [...registry.current().instances.values()].some((record) => record.secret === reference);
      if (!isInForce) throw new NexusError("not_found", "No instance uses this reference.");
      return { secret: await resolveSecret(reference) };
    });
  };
}
