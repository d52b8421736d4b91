import { z } from "zod";
import { nameSchema } from "./metadata.ts";

/** `GET /health`: the process lives. Never looks at a backend, answers within 100 ms, always with status 200. */
export const healthSchema = z.looseObject({
  status: z.literal("ok"),
  service: nameSchema,
  version: z.string(),
  uptime_seconds: z.number().nonnegative(),
});
export type Health = z.infer<typeof healthSchema>;

export const readinessCheckSchema = z.looseObject({
  status: z.enum(["ok", "pending", "failed"]),
  reason: z.string().max(1024).optional().describe("What it waits for, or what to do about it."),
  progress: z.number().min(0).max(1).optional(),
});
export type ReadinessCheck = z.infer<typeof readinessCheckSchema>;

/**
 * `GET /readyz`: 200 when every check is `ok`, else 503 with the same shape. While something loads, `progress` is the
 * fraction done and `eta_seconds` an estimate, null when unknown.
 */
export const readinessSchema = z.looseObject({
  ready: z.boolean(),
  state: z.enum(["starting", "ready", "draining", "failed"]),
  checks: z.record(z.string(), readinessCheckSchema),
  progress: z.number().min(0).max(1).optional(),
  eta_seconds: z.number().nonnegative().nullable().optional(),
});
export type Readiness = z.infer<typeof readinessSchema>;
