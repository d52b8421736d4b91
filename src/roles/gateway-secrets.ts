import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import { createSecretResolver, type ResolveSecret } from "../config/secrets.ts";
import { secretPath } from "../control/secret-routes.ts";
import { ControlClient } from "../registry/control-client.ts";

export interface GatewaySecretsOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Of the control process, when there is one on this host. */
  readonly controlUrl: string | undefined;
  readonly clock: Clock;
}

export interface GatewaySecrets {
  readonly resolve: ResolveSecret;
  close(): Promise<void>;
}

/** How long an answer of the control process counts: a rotated key is used this much later. */
const rememberedMs = 30_000;
/** One for each attached server. */
const rememberedMax = 256;

/**
 * Finds the keys of backends: in files, in this process's environment, else in the one of `nexus up`, which alone runs
 * commands. What was once
 * found keeps its meaning while the control process is away.
 */
export function openGatewaySecrets({ environment, controlUrl, clock }: GatewaySecretsOptions): GatewaySecrets {
  const own = createSecretResolver(environment);
  const client = controlUrl?.startsWith("unix:") ? new ControlClient({ url: controlUrl, clock }) : undefined;
  const known = new Map<string, { readonly secret: string; readonly at: number }>();

  const ask = async (from: ControlClient, reference: string): Promise<string> => {
    const before = known.get(reference);
    if (before !== undefined && clock.monotonic() - before.at < rememberedMs) return before.secret;
    try {
      const { secret } = (await from.call("POST", secretPath, { reference })) as { secret: string };
      if (known.size >= rememberedMax) known.clear();
      known.set(reference, { secret, at: clock.monotonic() });
      return secret;
    } catch (error) {
      const isAway = error instanceof NexusError && error.code === "registry_unavailable";
      if (before === undefined || !isAway) throw error;
      return before.secret;
    }
  };

  return {
    resolve: (reference) => {
      const isUnset = reference.startsWith("env:") && environment[reference.slice("env:".length)] === undefined;
      const isForeign = isUnset || reference.startsWith("command:");
      return isForeign && client !== undefined ? ask(client, reference) : own(reference);
    },
    close: async () => client?.close(),
  };
}
