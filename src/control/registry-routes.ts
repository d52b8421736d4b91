import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import { type InstanceRecordInput, instanceRecordBytesMax } from "../contract/instance-record.ts";
import { parseOrThrow } from "../contract/parse.ts";
import { leaseTtlMsDefault } from "../registry/lease-table.ts";
import type { Registry } from "../registry/registry.ts";
import { encodeSnapshot } from "../registry/wire.ts";
import { SnapshotWatchers } from "./snapshot-watchers.ts";

export interface RegistryRoutesOptions {
  readonly registry: Registry;
  readonly clock: Clock;
  /**
   * Whether the caller may write `secret` into a record. The gateway resolves that reference and sends what it finds to
   * the record's address, so it is the operator's alone. Default: nobody.
   */
  readonly mayWriteSecrets?: (request: FastifyRequest) => boolean;
  /** Watchers at once. Default 64: gateways, consoles and a few curious. */
  readonly watchersMax?: number;
}

/** The contract checks the record itself; here it only has to be there. */
const registerSchema = z.looseObject({ record: z.looseObject({}), ttl_ms: z.number().default(leaseTtlMsDefault) });
const renewSchema = z.looseObject({ record: z.looseObject({}).optional() });
const drainSchema = z.looseObject({
  kind: z.enum(["host", "service", "instance"]),
  name: z.string().min(1).max(128),
  reason: z.string().max(512).default(""),
});
const watchQuerySchema = z.looseObject({ changes: z.enum(["true", "false"]).default("false") });

/** Room for the record's envelope. */
const bodyLimit = instanceRecordBytesMax + 4_096;

/**
 * The registry's part of the control API, as a Fastify plugin. Errors are thrown as `NexusError`, for the server to render. On a watch,
 * `?changes=true` asks for `change` events after the first `snapshot`, instead of a whole snapshot after each change.
 */
export function registryRoutes(app: FastifyInstance, options: RegistryRoutesOptions, done: () => void): void {
  const { registry, clock, watchersMax = 64 } = options;
  const watchers = new SnapshotWatchers({ view: registry, clock, watchersMax });
  app.addHook("preClose", async () => watchers.close());

  app.get("/v1/nexus/registry", async (_request, reply) => {
    return reply.type("application/json").send(encodeSnapshot(registry.current()));
  });
  app.get("/v1/nexus/registry/watch", async (request, reply) => {
    const { changes } = parseOrThrow(watchQuerySchema, request.query, "invalid_request", "The query");
    watchers.checkRoom();
    reply.hijack();
    watchers.add(reply.raw, changes === "true");
  });
  app.post("/v1/nexus/registry/instances", { bodyLimit }, async (request, reply) => {
    const { record, ttl_ms } = parseOrThrow(registerSchema, request.body, "invalid_request", "The body");
    const lease = await registry.register(checkSecret(record, request, options), ttl_ms);
    return reply.status(201).send({ lease: { id: lease.id, ttl_ms: lease.ttlMs } });
  });
  app.put<{ Params: { id: string } }>("/v1/nexus/registry/leases/:id", { bodyLimit }, async (request, reply) => {
    const { record } = parseOrThrow(renewSchema, request.body ?? {}, "invalid_request", "The body");
    await registry.renew(request.params.id, record && checkSecret(record, request, options));
    return reply.status(204).send();
  });
  app.delete<{ Params: { id: string } }>("/v1/nexus/registry/leases/:id", async (request, reply) => {
    await registry.deregister(request.params.id);
    return reply.status(204).send();
  });
  app.post("/v1/nexus/drains", async (request, reply) => {
    const { reason, ...target } = parseOrThrow(drainSchema, request.body, "invalid_request", "The body");
    await registry.drain(target, reason);
    return reply.send(registry.current().policy);
  });
  app.delete("/v1/nexus/drains", async (request, reply) => {
    await registry.undrain(parseOrThrow(drainSchema, request.body, "invalid_request", "The body"));
    return reply.send(registry.current().policy);
  });
  done();
}

/** The record, if the caller may write it. */
function checkSecret(
  record: Record<string, unknown>,
  request: FastifyRequest,
  { mayWriteSecrets }: RegistryRoutesOptions,
): InstanceRecordInput {
  const hasSecret = record.secret !== undefined && record.secret !== null;
  if (hasSecret && mayWriteSecrets?.(request) !== true) {
    throw new NexusError(
      "permission_denied",
      "Only the operator may write `secret` into a record: use `nexus attach`.",
      {
        param: "record.secret",
      },
    );
  }
  return record as InstanceRecordInput;
}
