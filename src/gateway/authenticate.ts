import { isIP } from "node:net";
import { NexusError } from "../base/errors.ts";
import type { Caller, Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";

/** Longer ones are no keys of ours and are not worth a hash. */
const keyCharactersMax = 256;

/**
 * Who asks.
 * @throws NexusError `missing_api_key` or `invalid_api_key`; `permission_denied` for an address that the key may not be
 * used from, in keyless mode for a `Host` that is not this machine; `database_unavailable` for a key that is not known
 * here while the database is away.
 */
export async function authenticate(exchange: Exchange, parts: GatewayParts): Promise<Caller> {
  if (parts.auth.mode === "none") {
    requireLocalHost(exchange);
    return { keyId: "none", role: "admin" };
  }
  const header = exchange.request.header("authorization");
  const anthropicKey = exchange.request.header("x-api-key");
  if (header === undefined && anthropicKey === undefined) {
    throw new NexusError(
      "missing_api_key",
      "Send an API key as `Authorization: Bearer KEY`. `nexus keys create` makes one.",
    );
  }
  const key = header === undefined ? anthropicKey : /^Bearer +(\S+) *$/i.exec(header)?.[1];
  const known = key === undefined || key.length > keyCharactersMax ? undefined : await parts.keys.find(key);
  if (known === undefined) {
    throw new NexusError("invalid_api_key", "The API key is unknown, was revoked, or has expired.");
  }
  if (!known.allowsAddress(exchange.request.remoteAddress)) {
    throw new NexusError("permission_denied", "The API key may not be used from this address.", {
      detail: exchange.request.remoteAddress,
    });
  }
  return { keyId: known.record.id, role: known.record.role, key: known };
}

/**
 * To be called once it is known what is asked for.
 * @throws NexusError `permission_denied` when the key, or its tenant, may not use the operation or the model.
 */
export function requireAllowed({ key }: Caller, operation: string, model: string): void {
  if (key === undefined) return;
  if (!key.allowsOperation(operation)) {
    throw new NexusError("permission_denied", `The API key may not use ${operation}.`);
  }
  if (!key.allowsModel(model)) {
    throw new NexusError("permission_denied", `The API key may not use the model '${model.slice(0, 128)}'.`, {
      param: "model",
    });
  }
}

/**
 * Without keys, a page in the owner's browser must not reach the gateway through a name that an attacker points at
 * 127.0.0.1 (DNS rebinding): its `Host` would be that name.
 */
function requireLocalHost(exchange: Exchange): void {
  const host = exchange.request.header("host") ?? "";
  const name = host
    .replace(/:\d+$/, "")
    .replace(/^\[(.*)\]$/, "$1")
    .toLowerCase();
  const isLoopback = name === "localhost" || name === "::1" || (isIP(name) === 4 && name.startsWith("127."));
  if (!isLoopback) {
    throw new NexusError(
      "permission_denied",
      "Without keys the gateway answers on localhost only: use http://127.0.0.1 or set `auth.mode: keys`.",
    );
  }
}

/** @throws NexusError `permission_denied` unless the caller may run the platform. */
export function requireAdmin(caller: Caller): void {
  if (caller.role === "admin") return;
  throw new NexusError(
    "permission_denied",
    "This needs a key with the role `admin`: `nexus keys create --role admin`.",
  );
}
