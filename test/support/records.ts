import type { InstanceRecord } from "../../src/contract/instance-record.ts";
import { instanceRecordSchema, metadataDigest } from "../../src/contract/instance-record.ts";
import { type Model, metadataSchema, modelSchema } from "../../src/contract/metadata.ts";
import { operations } from "../../src/contract/operations.ts";
import type { RegistrySnapshot } from "../../src/registry/registry.ts";

export interface RecordOptions extends Partial<Omit<InstanceRecord, "metadata" | "metadata_digest">> {
  readonly models?: readonly (Partial<Model> & { id: string })[];
  readonly operations?: readonly string[];
  readonly maxConcurrency?: number | null;
  readonly capabilityFeatures?: readonly string[];
}

/** A valid record of a chat service; `options` replace what a test cares about. */
export function makeRecord(options: RecordOptions = {}): InstanceRecord {
  const {
    models = [{ id: "m" }],
    operations: offered,
    maxConcurrency = null,
    capabilityFeatures = [],
    ...rest
  } = options;
  const service = options.service ?? "chat";
  const instance = options.instance ?? "one";
  const host = options.host ?? "host-1";
  const ids = offered ?? operations.map(({ id }) => id);
  const metadata = metadataSchema.parse({
    schema_version: "1.0",
    service: { name: service, version: "1.0.0" },
    instance: { id: instance, host, started_at: "2026-01-01T00:00:00Z" },
    backend: { name: "fake" },
    endpoints: operations
      .filter(({ id }) => ids.includes(id))
      .map(({ id, method, path, streaming }) => ({ method, path, operation_id: id, streaming })),
    capabilities: {
      domains: ["chat", "embedding"],
      streaming: true,
      max_concurrency: maxConcurrency,
      features: [...capabilityFeatures],
    },
    models: models.map((model) => modelSchema.parse({ domains: ["chat", "embedding"], state: "loaded", ...model })),
  });
  return instanceRecordSchema.parse({
    schema_version: "1.0",
    base_url: "http://127.0.0.1:1",
    state: "ready",
    registered_at: "2026-01-01T00:00:00Z",
    ...rest,
    service,
    instance,
    host,
    metadata,
    metadata_digest: metadataDigest(metadata),
  });
}

/** A snapshot of these records. */
export function makeSnapshot(
  records: readonly InstanceRecord[],
  rest: Partial<RegistrySnapshot> = {},
): RegistrySnapshot {
  return {
    revision: 1,
    instances: new Map(records.map((record) => [`${record.service}/${record.instance}`, record])),
    rejected: [],
    policy: { drained: [] },
    stale: false,
    ...rest,
  };
}
