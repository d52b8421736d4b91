import { z } from "zod";
import { NexusError } from "../base/errors.ts";
import { parseOrThrow } from "../contract/parse.ts";
import type { KeyRecord, KeyStore } from "../gateway/key-store.ts";
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

export interface KeyRoutesOptions {
  /** Whether a key that somebody chose is too weak for who can reach this platform. */
  readonly isTooWeak: (key: string) => boolean;
}

/** `GET`, `POST` and `DELETE` of `/v1/nexus/keys`. */
export function keyRoutes(keys: KeyStore, { isTooWeak }: KeyRoutesOptions): ControlRoutes {
  return (server) => {
    server.get("/v1/nexus/keys", async () => ({ keys: (await keys.list()).map(keyInfo) }));
    server.post("/v1/nexus/keys", async (request, reply) => {
      const input = parseOrThrow(createSchema, request.body ?? {}, "invalid_request", "The key");
      if (input.key !== undefined && isTooWeak(input.key)) {
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
