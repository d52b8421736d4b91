import {
  type InstanceRecord,
  type InstanceRecordInput,
  type InstanceState,
  instanceRecordBytesMax,
  metadataDigest,
} from "../contract/instance-record.ts";
import { contractVersion, type Model, metadataSchema, type ServiceMetadata } from "../contract/metadata.ts";
import { endpointOf, operationById } from "../contract/operations.ts";
import type { Description, DialectName } from "../dialects/dialect.ts";
import { hostOf } from "./target-url.ts";

/** What a record says of an attached server. */
export interface RecordFacts {
  readonly name: string;
  readonly baseUrl: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly keyFrom: string | undefined;
  readonly attachedAt: string;
  /** When this process first heard what the server says of itself. */
  readonly describedAt: string;
  readonly hostId: string;
  readonly dialect: DialectName;
  readonly description: Description;
  readonly state: InstanceState;
  readonly stateReason: string;
}

/** Room for what the registry adds around a record. */
const recordBytesMax = instanceRecordBytesMax - 4_096;

/**
 * The registry's record of an attached server. Pure: the same facts give the same record, so that only a change is
 * written. A server that lists more than a record holds keeps its first models.
 */
export function buildRecord(facts: RecordFacts): InstanceRecordInput {
  let models = facts.description.models;
  for (;;) {
    const record = recordWith(facts, models);
    if (models.length === 0 || Buffer.byteLength(JSON.stringify(record)) <= recordBytesMax) return record;
    models = models.slice(0, Math.floor(models.length * 0.8));
  }
}

function recordWith(facts: RecordFacts, models: readonly Model[]): InstanceRecordInput {
  const { dialect, description } = facts;
  const own = description.metadata;
  const metadata =
    own === undefined
      ? describedMetadata(facts, models)
      : // Attached under a name of the operator's choice, so that it keeps it when it is restarted.
        { ...own, instance: { ...own.instance, id: facts.name }, models: [...models] };
  return {
    schema_version: contractVersion,
    service: metadata.service.name,
    instance: facts.name,
    host: metadata.instance.host,
    base_url: facts.baseUrl,
    metadata,
    metadata_digest: metadataDigest(metadata),
    labels: { ...facts.labels },
    state: facts.state,
    state_reason: facts.stateReason.slice(0, 1_024),
    dialect,
    readiness_path: description.readinessPath,
    secret: facts.keyFrom ?? null,
    evidence: evidenceFor(facts, models),
    registered_at: facts.attachedAt,
  };
}

function evidenceFor({ description, describedAt }: RecordFacts, models: readonly Model[]): InstanceRecord["evidence"] {
  const evidence: InstanceRecord["evidence"] = {};
  for (const { id } of models) {
    const findings = Object.entries(description.findings[id] ?? {});
    if (findings.length === 0) continue;
    evidence[id] = Object.fromEntries(findings.map(([feature, found]) => [feature, { ...found, at: describedAt }]));
  }
  return evidence;
}

/** The metadata that a server without the contract would answer with, in the words of the contract. */
function describedMetadata(facts: RecordFacts, models: readonly Model[]): ServiceMetadata {
  const { description } = facts;
  const offered = description.operations.map(operationById);
  const seesImages = models.some((model) => model.features.vision === true);
  return metadataSchema.parse({
    schema_version: contractVersion,
    service: {
      name: facts.dialect,
      version: description.backend.version.slice(0, 64) || "unknown",
      description: `${description.backend.name || "A model server"}, attached`.slice(0, 1_024),
    },
    instance: { id: facts.name, host: hostOf(facts.baseUrl, facts.hostId), started_at: facts.attachedAt },
    backend: {
      name: description.backend.name.slice(0, 256),
      vendor: description.backend.vendor.slice(0, 256),
      version: description.backend.version.slice(0, 256),
    },
    endpoints: offered.map(endpointOf),
    capabilities: {
      domains: [...new Set(models.flatMap((model) => model.domains))],
      modalities: {
        input: seesImages ? ["text", "image"] : ["text"],
        output: offered.map(({ id }) => (id === "embeddings.create" ? "vector" : "text")).filter(isFirst),
      },
      streaming: offered.some(({ streaming }) => streaming),
      max_concurrency: description.maxConcurrency,
    },
    models,
  });
}

function isFirst<T>(item: T, place: number, items: readonly T[]): boolean {
  return items.indexOf(item) === place;
}
