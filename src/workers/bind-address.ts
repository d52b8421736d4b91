import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import net from "node:net";
import { constants } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { getSystemErrorName } from "node:util";

/** A socket that has an address and does not listen: whoever gets its descriptor may. */
export interface BoundSocket {
  readonly descriptor: number;
  /** The one that the system chose, when it was asked to. */
  readonly port: number;
  close(): void;
}

interface BareHandle {
  readonly fd: number;
  getsockname(into: { port?: number }): number;
  close(): void;
}

/**
 * What `node:cluster` binds sockets with, there since its beginning. A `net.Server` would not do: it accepts, and the
 * primary is not to serve.
 */
type CreateServerHandle = (address: string, port: number, family: number) => BareHandle | number;

/** Workers whose primary was killed let go of its port as soon as they notice; busy ones notice late. */
const releaseMs = 2_000;
const retryMs = 50;

/**
 * Binds a socket for workers to listen on together. They share its queue of connections: one that dies or hangs takes
 * none of them along, and while this process lives the port never refuses. Waits a moment for a port that is just being
 * given up.
 * @throws Error with the system's code, as `net.Server` does.
 */
export async function bindAddress({ host, port }: { host: string; port: number }): Promise<BoundSocket> {
  const address = await lookup(host);
  const end = performance.now() + releaseMs;
  for (;;) {
    const bound = tryBind(address, port);
    if (typeof bound !== "number") return bound;
    const code = getSystemErrorName(bound);
    if (code !== "EADDRINUSE" || performance.now() > end) {
      throw Object.assign(new Error(`${code}: cannot listen on ${host}:${port}`), { code });
    }
    await pause(retryMs);
  }
}

/** A number is the system's error. */
function tryBind({ address, family }: LookupAddress, port: number): BoundSocket | number {
  const { _createServerHandle: create } = net as unknown as { _createServerHandle: CreateServerHandle };
  const handle = create(address, port, family);
  if (typeof handle === "number") return handle;
  const name: { port?: number } = {};
  // That an address is taken is told only here. Whoever listened on this socket all the same would do so on a port of
  // the system's choice, on every address of the machine.
  const failure = handle.getsockname(name);
  if (failure === 0 && name.port !== undefined && (port === 0 || name.port === port)) {
    return { descriptor: handle.fd, port: name.port, close: () => handle.close() };
  }
  handle.close();
  return failure === 0 ? -constants.errno.EADDRINUSE : failure;
}
