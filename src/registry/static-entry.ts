import { z } from "zod";
import { closestName } from "../base/close-names.ts";
import { metadataDigest } from "../contract/instance-record.ts";
import { domainSchema, type Model, nameSchema, type ServiceMetadata } from "../contract/metadata.ts";
import { endpointOf, usualOperations } from "../contract/operations.ts";
import { describeIssues } from "../contract/parse.ts";
import { type ParsedRecord, parseRecord } from "./parse-record.ts";

/** What an entry may leave out. */
export interface EntryDefaults {
  /** Name of the host for addresses on loopback. */
  readonly hostId: string;
  /** ISO 8601. */
  readonly now: string;
}

const modelsSchema = z.array(z.union([z.string(), z.looseObject({ id: z.string() })])).min(1, "list at least one");

/** An instance as a person writes it down. Names are those of the record and of its metadata. */
const entrySchema = z
  .strictObject({
    name: nameSchema.describe("Of the instance, and of its service unless that has another."),
    service: nameSchema.optional(),
    url: z.string().optional(),
    base_url: z.string().optional().describe("The same as `url`."),
    host: nameSchema.optional().describe("Default: the host in the URL."),
    models: modelsSchema.optional().describe("Ids, or models as in the metadata."),
    domains: z.array(domainSchema).min(1).default(["chat"]).describe("Of models that do not say it themselves."),
    labels: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String)).default({}),
    secret: z.string().optional(),
    dialect: z.string().default("openai-compatible"),
    readiness_path: z.string().optional(),
    max_concurrency: z.int().positive().nullable().default(null),
    metadata: z.looseObject({ models: modelsSchema.optional() }).optional().describe("Read for its models only."),
  })
  .transform((entry, context) => {
    const url = entry.url ?? entry.base_url;
    const models = entry.models ?? entry.metadata?.models;
    if (url === undefined) context.addIssue({ code: "custom", path: ["url"], message: "is missing" });
    if (models === undefined) context.addIssue({ code: "custom", path: ["models"], message: "is missing" });
    return { ...entry, url: url ?? "", models: models ?? [] };
  });
type Entry = z.output<typeof entrySchema>;

const entryKeys = Object.keys(entrySchema.in.shape);

/**
 * Makes a record of an entry of a static file: a full record (it has a `schema_version`) or the short form. What can be
 * worked out may be left out of both. Never throws.
 */
export function parseStaticEntry(value: unknown, defaults: EntryDefaults): ParsedRecord {
  if (typeof value === "object" && value !== null && "schema_version" in value) {
    return parseRecord(completeRecord(value, defaults));
  }
  const parsed = entrySchema.safeParse(value);
  if (parsed.success) return parseRecord(toRecord(parsed.data, defaults));
  const { service, name } = (value ?? {}) as { service?: unknown; name?: unknown };
  const isNamed = nameSchema.safeParse(name).success && nameSchema.safeParse(service ?? name).success;
  const reason = (describeIssues(parsed.error) + didYouMean(parsed.error)).slice(0, 512);
  return { ok: false, key: isNamed ? `${String(service ?? name)}/${String(name)}` : undefined, reason };
}

function completeRecord(value: object, { now }: EntryDefaults): object {
  const metadata = (value as { metadata?: unknown }).metadata;
  const digest = metadata === undefined ? {} : { metadata_digest: metadataDigest(metadata as ServiceMetadata) };
  return { registered_at: now, state: "ready", ...digest, ...value };
}

function toRecord(entry: Entry, { hostId, now }: EntryDefaults): object {
  const service = entry.service ?? entry.name;
  const host = entry.host ?? hostOf(entry.url, hostId);
  const models = entry.models.map((model) =>
    typeof model === "string" ? { id: model, domains: entry.domains } : { domains: entry.domains, ...model },
  ) as Pick<Model, "id" | "domains">[];
  const domains = [...new Set(models.flatMap((model) => model.domains))];
  const offered = usualOperations(domains);
  const metadata = {
    schema_version: "1.0",
    service: { name: service, version: "0", description: "" },
    instance: { id: entry.name, host, started_at: now },
    backend: { name: entry.dialect },
    endpoints: offered.map(endpointOf),
    capabilities: {
      domains,
      streaming: offered.some((operation) => operation.streaming),
      max_concurrency: entry.max_concurrency,
    },
    models,
  };
  return {
    schema_version: "1.0",
    service,
    instance: entry.name,
    host,
    // People copy the address that their clients use, and that ends in /v1.
    base_url: entry.url.replace(/\/+$/, "").replace(/\/v1$/, ""),
    metadata,
    metadata_digest: metadataDigest(metadata as unknown as ServiceMetadata),
    labels: entry.labels,
    state: "ready",
    dialect: entry.dialect,
    // Every OpenAI-compatible server lists its models, for nothing and without loading one.
    readiness_path: entry.readiness_path ?? (entry.dialect === "nexus" ? "/readyz" : "/v1/models"),
    secret: entry.secret ?? null,
    registered_at: now,
  };
}

const loopback = /^(?:localhost|127\.[\d.]+|\[::1\])$/;

function hostOf(url: string, hostId: string): string {
  if (!URL.canParse(url)) return hostId;
  const { hostname } = new URL(url);
  if (loopback.test(hostname)) return hostId;
  // IPv6 has colons and brackets, which names may not have.
  return hostname.replaceAll(/[^a-z0-9._-]+/g, "-").replaceAll(/^[^a-z0-9]+|[^a-z0-9]+$/g, "");
}

function didYouMean(error: z.ZodError): string {
  const unknown = error.issues.flatMap((issue) => (issue.code === "unrecognized_keys" ? issue.keys : []));
  const near = unknown.map((key) => closestName(key, entryKeys)).filter((key) => key !== undefined);
  return near.length === 0 ? "" : `; did you mean ${near.map((key) => `'${key}'`).join(", ")}?`;
}
