import { healthSchema } from "../contract/health.ts";
import { metadataSchema, type ServiceMetadata } from "../contract/metadata.ts";
import { operations } from "../contract/operations.ts";
import { validModels } from "./compose-description.ts";
import type { Description, Dialect } from "./dialect.ts";
import type { Probe } from "./probe.ts";

/** Feature by which a gateway of Nexus is known; routing leaves it out for the same reason. */
const gatewayFeature = "nexus-gateway";

async function metadataOf(probe: Probe): Promise<ServiceMetadata | undefined> {
  const answer = await probe.get("/v1/metadata");
  const parsed = answer.status === 200 ? metadataSchema.safeParse(answer.json) : undefined;
  return parsed?.success === true ? parsed.data : undefined;
}

/**
 * A service that speaks the contract of Nexus (SERVICE_API_SPECIFICATION.md): it describes itself, in full and in our
 * words.
 */
export const nexusDialect: Dialect = {
  name: "nexus",
  recognises: async (probe) => (await metadataOf(probe)) !== undefined,
  async describe(probe) {
    const metadata = await metadataOf(probe);
    if (metadata === undefined) return undefined;
    const offered = new Set(metadata.endpoints.map((endpoint) => endpoint.operation_id));
    const readiness = await probe.get("/readyz");
    return {
      backend: metadata.backend,
      models: validModels(metadata.models),
      operations: operations.flatMap(({ id }) => (offered.has(id) ? [id] : [])),
      maxConcurrency: metadata.capabilities.max_concurrency,
      readinessPath: "/readyz",
      state: readiness.status === 200 ? "ready" : "starting",
      stateReason: readiness.status === 200 ? "" : `answers /readyz with ${readiness.status}`,
      findings: {},
      metadata,
    } satisfies Description;
  },
};

/**
 * Whether a gateway of Nexus answers, this platform's own or another one's: requests sent there could come back. Known
 * by its metadata or, where those need a key, by its health.
 */
export async function isNexusGateway(probe: Probe): Promise<boolean> {
  const metadata = await metadataOf(probe);
  if (metadata !== undefined) {
    return metadata.service.name === "gateway" || metadata.capabilities.features.includes(gatewayFeature);
  }
  const health = healthSchema.safeParse((await probe.get("/health")).json);
  return health.success && health.data.service === "gateway";
}
