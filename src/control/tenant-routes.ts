import { z } from "zod";
import { parseOrThrow } from "../contract/parse.ts";
import { limitsPatchSchema, limitsSchema, nameSchema } from "../keys/key-record.ts";
import type { TenantStore } from "../keys/tenant-store.ts";
import type { ControlRoutes } from "./server.ts";

const createSchema = z.strictObject({ name: nameSchema, limits: limitsSchema.optional() });
const changeSchema = z.strictObject({ name: nameSchema.optional(), limits: limitsPatchSchema.optional() });

/** `GET`, `POST` and `PATCH` of `/v1/nexus/tenants`. */
export function tenantRoutes(tenants: TenantStore): ControlRoutes {
  return (server) => {
    server.get("/v1/nexus/tenants", async () => ({ tenants: await tenants.list() }));
    server.post("/v1/nexus/tenants", async (request, reply) => {
      const input = parseOrThrow(createSchema, request.body ?? {}, "invalid_request", "The tenant");
      return reply.status(201).send({ record: await tenants.create(input) });
    });
    server.patch<{ Params: { id: string } }>("/v1/nexus/tenants/:id", async (request) => {
      const change = parseOrThrow(changeSchema, request.body, "invalid_request", "The change");
      return { record: await tenants.change(request.params.id, change) };
    });
  };
}
