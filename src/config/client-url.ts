import { isIPv6 } from "node:net";

/** An address that a client on this machine can use: `0.0.0.0` means everywhere, and so here. */
export function clientUrl(address: { readonly host: string; readonly port: number }): string {
  const everywhere: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "[::1]" };
  const host = everywhere[address.host] ?? (isIPv6(address.host) ? `[${address.host}]` : address.host);
  return `http://${host}:${address.port}`;
}
