import { isIP } from "node:net";
import { NexusError } from "../base/errors.ts";
import type { KeyRole } from "../keys/key-record.ts";
import type { KnownKey } from "../keys/known-key.ts";
import type { ClientRequest } from "./client-io.ts";
import type { Caller, Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";

/** Longer ones are no keys of ours and are not worth a hash. */
const keyCharactersMax = 256;

/**
 * Who asks. At once for a key that is known here.
 * @throws NexusError, or rejects with it: `missing_api_key` or `invalid_api_key`; `permission_denied` for an address that the key may not be
 * used from, in keyless mode for a `Host` or an `Origin` that is not this machine; `database_unavailable` for a key that is not known
 * here while the database is away.
 */
export function authenticate(exchange: Exchange, parts: GatewayParts): Caller | Promise<Caller> {
  const { request } = exchange;
  const { onBehalfOf } = request;
  if (parts.auth.mode === "none") {
    if (onBehalfOf === undefined) {
      requireLocalHost(request);
      requireLocalOrigin(request);
    }
    return { keyId: "none", role: "admin" };
  }
  if (onBehalfOf !== undefined) return inTheNameOf(onBehalfOf, parts);
  const key = readKey(request);
  const known = key === undefined || key.length > keyCharactersMax ? undefined : parts.keys.find(key);
  return known instanceof Promise ? known.then((found) => callerOf(found, request)) : callerOf(known, request);
}

function callerOf(known: KnownKey | undefined, { remoteAddress }: ClientRequest): Caller {
  if (known === undefined) {
    throw new NexusError("invalid_api_key", "The API key is unknown, was revoked, or has expired.");
  }
  if (!known.allowsAddress(remoteAddress)) {
    throw new NexusError("permission_denied", "The API key may not be used from this address.", {
      detail: remoteAddress,
    });
  }
  return { keyId: known.record.id, role: known.record.role, key: known };
}

/** Where it may come from was looked at when the work was handed in. */
async function inTheNameOf(keyId: string, { keys }: GatewayParts): Promise<Caller> {
  const known = await keys.findById(keyId);
  if (known === undefined) {
    throw new NexusError("invalid_api_key", "The API key that asked for this was revoked, or has expired.");
  }
  return { keyId, role: known.record.role, key: known };
}

/**
 * The key as `Authorization: Bearer`, as Anthropic's clients send it, or as a browser can: a page cannot set headers on a
 * WebSocket, so OpenAI's clients offer the key as one of its protocols there.
 * @throws NexusError `missing_api_key`
 */
function readKey(request: ClientRequest): string | undefined {
  const authorization = request.header("authorization");
  if (authorization !== undefined) return /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
  const key = request.header("x-api-key") ?? readProtocolKey(request);
  if (key !== undefined) return key;
  throw new NexusError(
    "missing_api_key",
    "Send an API key as `Authorization: Bearer KEY`. `nexus keys create` makes one.",
  );
}

const keyProtocol = "openai-insecure-api-key.";

function readProtocolKey(request: ClientRequest): string | undefined {
  if (request.upgrade === undefined) return undefined;
  const offered = request.header("sec-websocket-protocol")?.split(",") ?? [];
  const found = offered.map((name) => name.trim()).find((name) => name.startsWith(keyProtocol));
  return found?.slice(keyProtocol.length);
}

/**
 * To be called once it is known what is asked for.
 * @throws NexusError `permission_denied` when the key, or its tenant, may not use the operation or the model.
 */
export function requireAllowed({ key }: Caller, operation: string, model?: string): void {
  if (key === undefined) return;
  if (!key.allowsOperation(operation)) {
    throw new NexusError("permission_denied", `The API key may not use ${operation}.`);
  }
  if (model !== undefined && !key.allowsModel(model)) {
    throw new NexusError("permission_denied", `The API key may not use the model '${model.slice(0, 128)}'.`, {
      param: "model",
    });
  }
}

/** Which models the caller may know of and use, by the name that is asked for. */
export function modelsAllowed({ caller }: Pick<Exchange, "caller">): (model: string) => boolean {
  const key = caller?.key;
  return key === undefined ? () => true : (model) => key.allowsModel(model);
}

/**
 * Without keys, a page in the owner's browser must not reach the gateway through a name that an attacker points at
 * 127.0.0.1 (DNS rebinding): its `Host` would be that name.
 */
function requireLocalHost(request: ClientRequest): void {
  const host = request.header("host") ?? "";
  if (isLoopback(host.replace(/:\d+$/, ""))) return;
  throw new NexusError(
    "permission_denied",
    "Without keys the gateway answers on localhost only: use http://127.0.0.1 or set `auth.mode: keys`.",
  );
}

/**
 * Browsers send simple requests and open WebSockets for any page without asking, and say in `Origin` whose page it is.
 * Without keys nothing else tells the owner's own page from a stranger's.
 */
function requireLocalOrigin(request: ClientRequest): void {
  const origin = request.header("origin");
  if (origin === undefined || (URL.canParse(origin) && isLoopback(new URL(origin).hostname))) return;
  throw new NexusError(
    "permission_denied",
    "Without keys only pages of this machine may use the gateway: set `auth.mode: keys` for others.",
  );
}

/** `name` as in a URL: IPv6 in brackets. */
function isLoopback(name: string): boolean {
  const bare = name.toLowerCase();
  return bare === "localhost" || bare === "[::1]" || (isIP(bare) === 4 && bare.startsWith("127."));
}

/** What a route is part of, which says whose keys open it. */
export type Access = "models" | "registration" | "monitoring" | "platform";

const rolesFor: Readonly<Record<Access, readonly KeyRole[]>> = {
  models: ["user", "admin"],
  registration: ["service", "admin"],
  monitoring: ["monitor", "admin"],
  platform: ["admin"],
};

/** @throws NexusError `permission_denied` unless the caller's role opens that part. */
export function requireRole({ role }: Caller, access: Access): void {
  const roles = rolesFor[access];
  if (roles.includes(role)) return;
  const names = roles.map((name) => `\`${name}\``).join(" or ");
  throw new NexusError(
    "permission_denied",
    `This needs a key with the role ${names}, not \`${role}\`: \`nexus keys create NAME --role ${roles[0]}\`.`,
  );
}
