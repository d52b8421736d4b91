import { NexusError } from "../base/errors.ts";
import { isLoopbackHost } from "../config/loopback.ts";
import { isForbiddenAddress } from "../dialects/forbidden-address.ts";

/** What people paste along with the address of a server. */
const pastedPath = /\/v1(?:\/(?:chat\/completions|completions|embeddings|models))?$/;

/**
 * The base URL that operations' paths are appended to: `http://box:1234/v1/` becomes `http://box:1234`.
 * @throws NexusError `invalid_request` for what is no http(s) URL, has credentials, a query or a fragment in it, or
 * leads where no model server may be.
 */
export function normaliseTarget(text: string): string {
  const url = URL.canParse(text.trim()) ? new URL(text.trim()) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw refuse("The URL must start with http:// or https://, such as http://127.0.0.1:11434.");
  }
  if (url.username !== "" || url.password !== "") {
    throw refuse("Credentials do not belong into a URL: give the server's key with --key-from env:NAME or file:PATH.");
  }
  if (url.search !== "" || url.hash !== "") throw refuse("The URL must not have a query or a fragment.");
  if (isUnspecified(url.hostname)) {
    throw refuse(`${url.hostname} is where a server listens, not where it is reached: use 127.0.0.1.`);
  }
  if (isForbiddenAddress(url.hostname)) {
    throw refuse("Nexus does not connect to link-local, metadata and multicast addresses.");
  }
  const path = url.pathname.replace(/\/+$/, "").replace(pastedPath, "").replace(/\/+$/, "");
  return url.origin + path;
}

function isUnspecified(host: string): boolean {
  return host === "0.0.0.0" || host === "[::]";
}

function refuse(message: string): NexusError {
  return new NexusError("invalid_request", message, { param: "url" });
}

/** Two base URLs with the same identity are the same server: this machine has several names for itself. */
export function serverIdentity(baseUrl: string): string {
  const url = new URL(baseUrl);
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  const host = isLoopbackHost(url.hostname) ? "loopback" : url.hostname;
  return `${host}:${port}${url.pathname.replace(/\/+$/, "")}`;
}

/** The machine of a server: `hostId` for this one, else the host of its URL made fit for a name. */
export function hostOf(baseUrl: string, hostId: string): string {
  const { hostname } = new URL(baseUrl);
  return isLoopbackHost(hostname) ? hostId : toName(hostname);
}

/** A name for a server of that kind at that address: `ollama-11434` here, `vllm-gpu-box-8000` elsewhere. */
export function nameFor(kind: string, baseUrl: string): string {
  const { hostname, port } = new URL(baseUrl);
  const place = [isLoopbackHost(hostname) ? "" : hostname, port].filter((part) => part !== "").join("-");
  return toName(`${kind}-${place === "" ? hostname : place}`);
}

function toName(text: string): string {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, "-")
    .replace(/^[^a-z0-9]+/, "")
    .slice(0, 60)
    .replace(/[^a-z0-9]+$/, "");
  return name === "" ? "server" : name;
}
