import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { NexusError } from "../base/errors.ts";
import { nameSchema } from "../contract/metadata.ts";
import { type LogLevel, logLevels } from "../observability/logger.ts";

/** How a service process is told where it stands. `readServiceEnvironment` reads it from the environment. */
export interface ServiceEnvironment {
  /** Address to listen on. Default 127.0.0.1: nothing leaves the machine unless somebody says so. */
  readonly host: string;
  /** 0, the default, takes a free one. */
  readonly port: number;
  /** Name to register under; default is the definition's. */
  readonly service: string | undefined;
  /** Name of this copy. Default is made up, so that two copies never collide. */
  readonly instance: string | undefined;
  /** Name of the machine. Default is its host name. */
  readonly hostId: string;
  /** Address that others reach it at. Default is the one it listens on. */
  readonly baseUrl: string | undefined;
  /** Where to register, `unix:/path` or an http(s) URL. Without it the service runs alone. */
  readonly controlUrl: string | undefined;
  /** Bearer token for an http control. */
  readonly controlKey: string | undefined;
  readonly logLevel: LogLevel;
  /** The platform's data directory, for services that keep files. */
  readonly dataDirectory: string | undefined;
  /** A file to write `{pid, url}` to as soon as the service listens. */
  readonly runFile: string | undefined;
}

const wildcardHosts: ReadonlySet<string> = new Set(["0.0.0.0", "::", "[::]", "*"]);

/**
 * Reads `NEXUS_HOST`, `NEXUS_PORT`, `NEXUS_SERVICE`, `NEXUS_INSTANCE`, `NEXUS_HOST_ID`, `NEXUS_BASE_URL`,
 * `NEXUS_CONTROL_URL`, `NEXUS_CONTROL_KEY`, `NEXUS_LOG_LEVEL`, `NEXUS_DATA` and `NEXUS_RUN_FILE`; empty means unset.
 * @throws NexusError `invalid_request` that names the variable at fault.
 */
export function readServiceEnvironment(variables: Readonly<Record<string, string | undefined>>): ServiceEnvironment {
  const read = (name: string): string | undefined => variables[name] || undefined;
  const host = read("NEXUS_HOST") ?? "127.0.0.1";
  const controlUrl = urlOf("NEXUS_CONTROL_URL", read("NEXUS_CONTROL_URL"), /^(?:unix:|https?:)$/);
  const baseUrl = urlOf("NEXUS_BASE_URL", read("NEXUS_BASE_URL"), /^https?:$/)?.replace(/\/+$/, "");
  if (wildcardHosts.has(host) && controlUrl !== undefined && baseUrl === undefined) {
    throw wrong("NEXUS_BASE_URL", `must be the address that others reach this service at, as it listens on ${host}`);
  }
  return {
    host,
    port: portOf(read("NEXUS_PORT")),
    service: nameOf("NEXUS_SERVICE", read("NEXUS_SERVICE")),
    instance: nameOf("NEXUS_INSTANCE", read("NEXUS_INSTANCE")),
    hostId: nameOf("NEXUS_HOST_ID", read("NEXUS_HOST_ID")) ?? thisHost(),
    baseUrl,
    controlUrl,
    controlKey: read("NEXUS_CONTROL_KEY"),
    logLevel: levelOf(read("NEXUS_LOG_LEVEL")),
    dataDirectory: read("NEXUS_DATA"),
    runFile: read("NEXUS_RUN_FILE"),
  };
}

/** `<service>-<8 hex digits>`, cut to the length that names may have. */
export function newInstanceName(service: string): string {
  return `${service.slice(0, 54)}-${randomBytes(4).toString("hex")}`;
}

function wrong(name: string, must: string): NexusError {
  return new NexusError("invalid_request", `${name} ${must}.`);
}

function portOf(text: string | undefined): number {
  const port = Number(text ?? "0");
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw wrong("NEXUS_PORT", "must be 0 to 65535");
  return port;
}

function nameOf(variable: string, text: string | undefined): string | undefined {
  if (text === undefined || nameSchema.safeParse(text).success) return text;
  throw wrong(variable, "must be lower-case letters, digits, '.', '_' and '-', at most 63");
}

function urlOf(variable: string, text: string | undefined, protocols: RegExp): string | undefined {
  if (text === undefined) return undefined;
  if (URL.canParse(text) && protocols.test(new URL(text).protocol)) return text;
  throw wrong(variable, "is not a URL that can be used here");
}

function levelOf(text: string | undefined): LogLevel {
  const level = logLevels.find((known) => known === (text ?? "info"));
  if (level === undefined) throw wrong("NEXUS_LOG_LEVEL", `must be one of ${logLevels.join(", ")}`);
  return level;
}

/** The host name made fit for a name: `Box.lan` is `box.lan`. */
function thisHost(): string {
  const name = hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]/g, "-")
    .replace(/^[^a-z0-9]+/, "")
    .slice(0, 63)
    .replace(/[^a-z0-9]+$/, "");
  return name === "" ? "localhost" : name;
}
