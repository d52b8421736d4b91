/** Deadlines of an attempt in milliseconds. */
export interface Timeouts {
  readonly connectMs: number;
  readonly firstTokenMs: number;
  readonly stallMs: number;
}

/** Deadlines as a layer of the configuration says them: for all operations, and for some of them. */
export interface TimeoutLayer extends OptionalTimeouts {
  readonly operations?: Readonly<Record<string, OptionalTimeouts>> | undefined;
}

type OptionalTimeouts = { readonly [K in keyof Timeouts]?: number | undefined };

/**
 * The deadlines for an operation. Layers come the most specific first, the route's before the gateway's; within one, what
 * is said for the operation counts more than what is said for all; `defaults` are the operation's own.
 */
export function timeoutsFor(
  operationId: string,
  layers: readonly (TimeoutLayer | undefined)[],
  defaults: Timeouts,
): Timeouts {
  return {
    connectMs: firstSaid("connectMs", operationId, layers) ?? defaults.connectMs,
    firstTokenMs: firstSaid("firstTokenMs", operationId, layers) ?? defaults.firstTokenMs,
    stallMs: firstSaid("stallMs", operationId, layers) ?? defaults.stallMs,
  };
}

function firstSaid(
  name: keyof Timeouts,
  operationId: string,
  layers: readonly (TimeoutLayer | undefined)[],
): number | undefined {
  for (const layer of layers) {
    const said = layer?.operations?.[operationId]?.[name] ?? layer?.[name];
    if (said !== undefined) return said;
  }
  return undefined;
}
