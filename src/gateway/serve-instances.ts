import { NexusError } from "../base/errors.ts";
import { type InstanceRecord, instanceKey } from "../contract/instance-record.ts";
import { descriptorSchema, type ServiceDescriptor } from "../contract/metadata.ts";
import { operations, responseTypesOf } from "../contract/operations.ts";
import { parseOrThrow } from "../contract/parse.ts";
import { isAttemptFailure } from "../resilience/attempt-failure.ts";
import { collectAnswer } from "./collect-answer.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { send, sendJson } from "./send-json.ts";

const instancesPath = "/v1/nexus/instances/";

/** Servers that measure themselves at `/metrics` whatever they were started with: the contract and vLLM's manual say so. */
const measuredDialects: ReadonlySet<string> = new Set(["nexus", "vllm"]);

/** A service with thousands of series stays below it. */
const pageBytesMax = 8 * 1024 * 1024;
/** What a collector waits for a page, by Prometheus's default; it is how long an instance may be silent here. */
const pageMs = 10_000;

/** Where one process is measured, as Prometheus reads it: `http_sd_config` in its documentation. */
interface TargetGroup {
  readonly targets: readonly [address: string];
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * `GET /v1/nexus/targets`: everything that can be measured now, this gateway included. All of it is read through the
 * gateway, under the address by which it was asked: services listen where only their gateway reaches them.
 */
export function serveTargets(exchange: Exchange, { index, identity }: GatewayParts): void {
  const address = exchange.request.header("host") ?? "";
  const group = (path: string, labels: TargetGroup["labels"]): TargetGroup => ({
    targets: [address],
    labels: { __metrics_path__: path, ...labels },
  });
  const { instance, host } = identity;
  const measured = [...index().snapshot.instances.values()].filter(({ dialect }) => measuredDialects.has(dialect));
  sendJson(exchange, 200, [
    group("/metrics", { instance: `gateway/${instance}`, service: "gateway", host }),
    ...measured.map((record) =>
      group(`${instancesPath}${instanceKey(record)}/metrics`, {
        instance: instanceKey(record),
        service: record.service,
        host: record.host,
      }),
    ),
  ]);
}

/** `GET /v1/nexus/instances/{service}/{instance}/metrics` and `/descriptor`: what an instance says of itself. */
export async function serveInstance(exchange: Exchange, parts: GatewayParts, path: string): Promise<void> {
  const [service, instance, page, ...rest] = path.slice(instancesPath.length).split("/");
  const record = parts.index().snapshot.instances.get(`${service}/${instance}`);
  if (record === undefined || rest.length > 0 || (page !== "metrics" && page !== "descriptor")) {
    throw new NexusError(
      "unknown_url",
      "There is no such instance, or it has no such page. `nexus status` lists them.",
    );
  }
  if (page === "descriptor") return sendJson(exchange, 200, await describe(record, exchange, parts));
  // Under a type of its own choice, a service could run a script in the page of somebody who reads it here.
  send(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", await read(record, "/metrics", exchange, parts));
}

/** As the service puts it; for a server that knows no descriptors, from what the registry has of it. */
async function describe(record: InstanceRecord, exchange: Exchange, parts: GatewayParts): Promise<ServiceDescriptor> {
  if (record.dialect !== "nexus") return descriptorOf(record);
  const text = await read(record, "/v1/descriptor", exchange, parts);
  return parseOrThrow(descriptorSchema, parseJson(text), "backend_error", "The instance's descriptor");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new NexusError("backend_error", "The instance's descriptor is no JSON.", { cause });
  }
}

function descriptorOf({ metadata, service }: InstanceRecord): ServiceDescriptor {
  const known = new Map(operations.map((operation) => [operation.id as string, responseTypesOf(operation)]));
  return descriptorSchema.parse({
    ...metadata,
    response_types: Object.fromEntries(
      metadata.endpoints.map(({ operation_id: id }) => [id, known.get(id) ?? ["application/json"]]),
    ),
    ui_navigation: { section: metadata.capabilities.domains[0] ?? "services", title: service },
  });
}

/** @throws NexusError when the instance cannot be reached, or answers with something else than a page. */
async function read(record: InstanceRecord, path: string, exchange: Exchange, parts: GatewayParts): Promise<string> {
  const { signal } = exchange;
  const timeouts = { firstTokenMs: pageMs, stallMs: pageMs };
  try {
    const request = { method: "GET", path, headers: {}, body: null, signal, timeouts } as const;
    const answer = await parts.upstreams.send(record, request);
    if (answer.status !== 200) {
      answer.discard();
      throw new NexusError("backend_error", `The instance answers ${path} with status ${answer.status}.`);
    }
    return (await collectAnswer(answer, pageBytesMax)).toString("utf8");
  } catch (error) {
    throw isAttemptFailure(error) ? error.error : error;
  }
}
