import { createServer } from "node:net";
import { NexusError } from "../base/errors.ts";
import { isLoopbackHost } from "../config/loopback.ts";
import type { ListenConfig } from "../gateway/config.ts";
import type { KeyStore } from "../keys/key-store.ts";

/**
 * Tries the address, so that a port that is taken is one clear line at once and not a gateway that fails again and
 * again. Between this and the gateway's own start somebody else may still take it; that is then the gateway's to say.
 * @throws NexusError `conflict` that says what to do.
 */
export async function checkListenAddress({ host, port }: ListenConfig): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const server = createServer();
  server.once("error", (error: NodeJS.ErrnoException) => reject(explain(error, host, port)));
  server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  await promise;
}

/**
 * @throws NexusError `conflict` when others can reach the address and a key that works is short or stands in examples.
 */
export async function refuseWeakKeys({ host }: ListenConfig, keys: Pick<KeyStore, "list">): Promise<void> {
  if (isLoopbackHost(host)) return;
  const weak = (await keys.list()).filter(({ is_weak, revoked_at }) => is_weak && revoked_at === null);
  if (weak.length === 0) return;
  const names = weak.map(({ name }) => `'${name}'`).join(", ");
  const message = `Others can reach ${host}, and the key ${names} is short or well known. Start on 127.0.0.1, \`nexus keys revoke\` it, and make another.`;
  throw new NexusError("conflict", message);
}

function explain(error: NodeJS.ErrnoException, host: string, port: number): NexusError {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: `Port ${port} is taken by another program. Choose another with --port, such as --port ${suggestPort(port)}; \`ss -ltnp 'sport = :${port}'\` shows whose it is.`,
    EADDRNOTAVAIL: `${host} is no address of this machine. Choose one with --host.`,
    ENOTFOUND: `${host} is no address of this machine. Choose one with --host.`,
    EACCES: `Port ${port} may not be used by this user. Choose one above 1023 with --port.`,
  };
  const message =
    reasons[error.code ?? ""] ??
    `${host}:${port} can't be listened on (${error.code}). Choose another with --host and --port.`;
  return new NexusError("conflict", message, { cause: error });
}

function suggestPort(port: number): number {
  return port < 65_535 ? port + 1 : 8800;
}
