import { createHash } from "node:crypto";
import { z } from "zod";
import { metadataSchema, nameSchema, type ServiceMetadata } from "./metadata.ts";

/** Records above this are refused, so that one service cannot fill the registry. */
export const instanceRecordBytesMax = 1024 * 1024;

/**
 * `env:NAME`, `file:/absolute/path` or `command:LINE`, a shell command that prints it: where a secret lives. The secret
 * itself never enters a record. A command is run only where the configuration file of `nexus up` has it.
 */
export const secretReferenceSchema = z
  .string()
  .max(1024)
  .regex(/^(?:env:[A-Za-z_][A-Za-z0-9_]*|file:\/.+|command:.+)$/, "env:NAME, file:/absolute/path or command:LINE");

/**
 * How sure the platform is of a feature: said by the service (`declared`), shown by a probe or real traffic (`proven`),
 * or shown to be wrong (`refuted`: not routed for that feature).
 */
export const evidenceSchema = z.looseObject({
  grade: z.enum(["declared", "proven", "refuted"]),
  reason: z.string().max(512),
  at: z.iso.datetime({ offset: true }),
});
export type Evidence = z.infer<typeof evidenceSchema>;

export const instanceStateSchema = z.enum(["starting", "ready", "draining", "failed"]);
export type InstanceState = z.infer<typeof instanceStateSchema>;

// `abort`: the refinement parses the URL, so it must not see what is none.
const httpUrlSchema = z.url({ protocol: /^https?$/, abort: true }).refine((text) => {
  const url = new URL(text);
  return url.username === "" && url.password === "" && url.search === "" && url.hash === "";
}, "no credentials, query or fragment in it");

/**
 * What the registry keeps of one instance, under `/nexus/v1/instances/<service>/<instance>` and a lease. Written by the
 * service itself, or by the platform for a server that it attached.
 */
export const instanceRecordSchema = z
  .looseObject({
    schema_version: z.string().regex(/^1\.\d+$/),
    service: nameSchema,
    instance: nameSchema,
    host: nameSchema,
    base_url: httpUrlSchema.describe("Operations' paths are appended to it; no trailing slash."),
    metadata: metadataSchema,
    metadata_digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
    labels: z.record(z.string().max(63), z.string().max(256)).default({}),
    state: instanceStateSchema,
    state_reason: z.string().max(1024).default(""),
    release: z
      .looseObject({ version: z.string().max(128), config_generation: z.int().nonnegative() })
      .nullable()
      .default(null),
    dialect: z.string().max(64).default("nexus").describe("Kind of server behind it: `nexus`, `ollama`, `vllm`, ..."),
    readiness_path: z
      .string()
      .startsWith("/")
      .max(512)
      .default("/readyz")
      .describe("Answers 2xx when the instance can take requests, costs nothing and loads no model."),
    secret: secretReferenceSchema
      .nullable()
      .default(null)
      .describe("The server's own key, sent as its dialect has it. Only the platform may write it."),
    evidence: z
      .record(z.string(), z.record(z.string(), evidenceSchema))
      .default({})
      .describe("Model id, then feature: what is known beyond the declaration."),
    registered_at: z.iso.datetime({ offset: true }),
  })
  .refine((record) => !record.base_url.endsWith("/"), { path: ["base_url"], error: "no trailing slash" })
  .refine((record) => record.metadata.service.name === record.service, {
    path: ["metadata", "service", "name"],
    error: "differs from the record's service",
  });
export type InstanceRecord = z.infer<typeof instanceRecordSchema>;
export type InstanceRecordInput = z.input<typeof instanceRecordSchema>;

/** `<service>/<instance>`: the record's identity in the registry and in every log line. */
export function instanceKey(record: { readonly service: string; readonly instance: string }): string {
  return `${record.service}/${record.instance}`;
}

/** SHA-256 over the metadata as JSON: two records with one digest describe the same abilities. */
export function metadataDigest(metadata: ServiceMetadata): string {
  return `sha256:${createHash("sha256").update(JSON.stringify(metadata)).digest("hex")}`;
}

/** Durable wishes of the operator: they outlive every lease. */
export const policySchema = z.looseObject({
  drained: z
    .array(
      z.looseObject({
        kind: z.enum(["host", "service", "instance"]),
        name: z.string().min(1).max(128).describe("A host, a service, or `<service>/<instance>`."),
        reason: z.string().max(512).default(""),
        since: z.iso.datetime({ offset: true }),
      }),
    )
    .default([]),
});
export type Policy = z.infer<typeof policySchema>;
