import { z } from "zod";
import { NexusError } from "../base/errors.ts";
import { parseOrThrow } from "../contract/parse.ts";
import { isWeakKey, type KeyRecord, type KeyStore } from "../gateway/key-store.ts";
import type { ControlRoutes } from "./server.ts";

const createSchema = z.strictObject({
  name: z.string().trim().min(1).max(128),
  role: z.enum(["user", "admin"]).default("user"),
  key: z.string().max(256).optional(),
});

/** A key as its operator sees it: never its hash. */
export type KeyInfo = Omit<KeyRecord, "hash">;

export function keyInfo({ hash: _hash, ...info }: KeyRecord): KeyInfo {
  return info;
}

/** `GET`, `POST` and `DELETE` of `/v1/nexus/keys`. Weak keys are for platforms that only this machine reaches. */
export function keyRoutes(keys: KeyStore, options: { readonly takesWeakKeys: boolean }): ControlRoutes {
  return (server) => {
    server.get("/v1/nexus/keys", async () => ({ keys: (await keys.list()).map(keyInfo) }));
    server.post("/v1/nexus/keys", async (request, reply) => {
      const input = parseOrThrow(createSchema, request.body ?? {}, "invalid_request", "The key");
      if (input.key !== undefined && !options.takesWeakKeys && isWeakKey(input.key)) {
        const message =
          "The key is too short or too well known for a platform that others can reach: take 20 characters or more.";
        throw new NexusError("invalid_request", message, { param: "key" });
      }
      const { key, record } = await keys.create(input);
      return reply.status(201).send({ key, record: keyInfo(record) });
    });
    server.delete<{ Params: { id: string } }>("/v1/nexus/keys/:id", async (request) => ({
      record: keyInfo(await keys.revoke(request.params.id)),
    }));
  };
}
