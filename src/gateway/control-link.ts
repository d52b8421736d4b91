import type * as Undici from "undici";
import { loadLater } from "../base/load-later.ts";
import type { UpstreamRequest } from "./upstream.ts";
import { type UpstreamAnswer, UpstreamCall } from "./upstream-call.ts";

/** Watches and log tails hold a connection each. */
const connectionsMax = 64;
/** The control API attaches servers and waits for them; a watch is never silent for longer than its comments. */
const timeouts = { firstTokenMs: 60_000, stallMs: 30_000 };

export interface ControlLink {
  /** @throws AttemptFailure when the control process does not answer. */
  send(request: UpstreamRequest): Promise<UpstreamAnswer>;
  close(): Promise<void>;
}

/** Few gateways are ever asked for the control API. */
const undici = loadLater<typeof Undici>("undici");

/** Connections to the control process, over its socket; made when they are first needed. */
export function openControlLink(address: { base: string; socketPath?: string }): ControlLink {
  let pool: Undici.Pool | undefined;
  const open = () =>
    new (undici().Pool)(new URL(address.base).origin, {
      connections: connectionsMax,
      pipelining: 1,
      connect: { timeout: 2_000 },
      ...(address.socketPath === undefined ? {} : { socketPath: address.socketPath }),
    });
  return {
    send({ method, path, headers, body, signal }) {
      const call = new UpstreamCall(signal, timeouts);
      pool ??= open();
      pool.dispatch({ method, path, headers, body, headersTimeout: 0, bodyTimeout: 0 }, call);
      return call.answer;
    },
    close: async () => await pool?.destroy(),
  };
}
