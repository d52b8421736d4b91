import { lookup } from "node:dns/promises";
import net from "node:net";
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

/**
 * Binds a socket for workers to listen on together. They share its queue of connections: one that dies or hangs takes
 * none of them along, and while this process lives the port never refuses.
 * @throws Error with the system's code, as `net.Server` does.
 */
export async function bindAddress({ host, port }: { host: string; port: number }): Promise<BoundSocket> {
  const { address, family } = await lookup(host);
  const { _createServerHandle: create } = net as unknown as { _createServerHandle: CreateServerHandle };
  const handle = create(address, port, family);
  if (typeof handle === "number") {
    const code = getSystemErrorName(handle);
    throw Object.assign(new Error(`${code}: cannot listen on ${host}:${port}`), { code });
  }
  const name: { port?: number } = {};
  handle.getsockname(name);
  return { descriptor: handle.fd, port: name.port ?? port, close: () => handle.close() };
}
