import { z } from "zod";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import { parseOrThrow } from "../contract/parse.ts";
import { type KeyRecord, keyRoleSchema, limitsPatchSchema, limitsSchema, nameSchema } from "../keys/key-record.ts";
import type { KeyStore } from "../keys/key-store.ts";
import type { ControlRoutes } from "./server.ts";

const chosenKey = z.string().max(256).optional();
/** In the past it ends the key now; null: never. */
const expiry = z.iso.datetime({ offset: true }).nullable().optional();
const overlapDaysMax = 90;

const createSchema = z.strictObject({
  name: nameSchema,
  role: keyRoleSchema.default("user"),
  key: chosenKey,
  tenant: z.string().max(128).optional(),
  limits: limitsSchema.optional(),
  expires_at: expiry,
});

const changeSchema = z.strictObject({
  name: nameSchema.optional(),
  limits: limitsPatchSchema.optional(),
  expires_at: expiry,
});

const rotateSchema = z.strictObject({
  overlap_seconds: z
    .int()
    .min(0)
    .max(overlapDaysMax * 86_400)
    .default(86_400),
  key: chosenKey,
});

/** A key as its operator sees it: never its hash. */
export type KeyInfo = Omit<KeyRecord, "secrets"> & {
  /** Until when the key from before the last rotation works too; null when it doesn't. */
  readonly previous_until: string | null;
};

export function keyInfo({ secrets, ...info }: KeyRecord, nowMs: number): KeyInfo {
  const ends = secrets.flatMap(({ valid_until }) => valid_until ?? []).filter((end) => Date.parse(end) > nowMs);
  return { ...info, previous_until: ends.sort().at(-1) ?? null };
}

export interface KeyRoutesOptions {
  readonly keys: KeyStore;
  readonly clock: Clock;
  /** Whether a key that somebody chose is too weak for who can reach this platform. */
  readonly isTooWeak: (key: string) => boolean;
}

/** `GET`, `POST`, `PATCH` and `DELETE` of `/v1/nexus/keys`, and their rotation. */
export function keyRoutes({ keys, clock, isTooWeak }: KeyRoutesOptions): ControlRoutes {
  const info = (record: KeyRecord) => keyInfo(record, clock.now());
  const refuseWeak = (key: string | undefined) => {
    if (key === undefined || !isTooWeak(key)) return;
    const message =
      "The key is too short or too well known for a platform that others can reach: take 20 characters or more.";
    throw new NexusError("invalid_request", message, { param: "key" });
  };
  return (server) => {
    server.get("/v1/nexus/keys", async () => ({ keys: (await keys.list()).map(info) }));
    server.post("/v1/nexus/keys", async (request, reply) => {
      const { expires_at, ...input } = parseOrThrow(createSchema, request.body ?? {}, "invalid_request", "The key");
      refuseWeak(input.key);
      const { key, record } = await keys.create({ ...input, expiresAt: toMoment(expires_at) });
      return reply.status(201).send({ key, record: info(record) });
    });
    server.patch<{ Params: { id: string } }>("/v1/nexus/keys/:id", async (request) => {
      const { expires_at, ...change } = parseOrThrow(changeSchema, request.body, "invalid_request", "The change");
      return { record: info(await keys.change(request.params.id, { ...change, expiresAt: toMoment(expires_at) })) };
    });
    server.post<{ Params: { id: string } }>("/v1/nexus/keys/:id/rotate", async (request, reply) => {
      const input = parseOrThrow(rotateSchema, request.body ?? {}, "invalid_request", "The rotation");
      refuseWeak(input.key);
      const overlapMs = input.overlap_seconds * 1_000;
      const { key, record } = await keys.rotate(request.params.id, { overlapMs, key: input.key });
      return reply.status(201).send({ key, record: info(record) });
    });
    server.delete<{ Params: { id: string } }>("/v1/nexus/keys/:id", async (request) => ({
      record: info(await keys.revoke(request.params.id)),
    }));
  };
}

function toMoment(text: string | null | undefined): number | null | undefined {
  return typeof text === "string" ? Date.parse(text) : text;
}
