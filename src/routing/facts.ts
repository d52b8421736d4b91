import type { InstanceRecord } from "../contract/instance-record.ts";
import type { Offer } from "./model-index.ts";
import { parseQuantity } from "./quantity.ts";

/** What is known of a host. Absent means unknown. */
export interface HostFacts {
  readonly zone?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly gpu?: GpuFacts | undefined;
  /** Bytes. */
  readonly memory?: number | undefined;
  /** Cores. */
  readonly cpu?: number | undefined;
}

export interface GpuFacts {
  /** Of the largest one, in bytes. */
  readonly memory?: number | undefined;
  readonly count?: number | undefined;
  readonly name?: string | undefined;
  readonly computeCapability?: number | undefined;
}

/** Where an instance is: what its host says of itself, else what the instance's label `zone` says. */
export function zoneOf(record: InstanceRecord, host: HostFacts | undefined): string | undefined {
  return host?.zone ?? record.labels.zone;
}

/** The variables of an expression and their types, in CEL's words. A nested group is a nested table. */
export const variables = {
  host: {
    name: "string",
    zone: "string",
    labels: "map<string, string>",
    gpu: { memory: "int", count: "int", name: "string", compute_capability: "double" },
    memory: "int",
    cpu: "double",
  },
  instance: { name: "string", service: "string", labels: "map<string, string>", release: "string", state: "string" },
  service: "string",
  model: { id: "string", context_window: "int", size_bytes: "int", features: "map<string, dyn>" },
} as const satisfies VariableTypes;

export interface VariableTypes {
  readonly [name: string]: string | VariableTypes;
}

/**
 * The values of the variables for an offer; what is unknown is absent. Of hardware that the host does not tell, the
 * instance's labels (`gpu.memory: 24Gi`, `gpu.count`, `gpu.name`, `gpu.compute_capability`, `memory`, `cpu`) are taken,
 * then what its metadata says that it requires: it runs, so the host has at least that.
 */
export function factsOf({ record, model }: Offer, host: HostFacts | undefined): Record<string, unknown> {
  const { labels, metadata } = record;
  const { requires } = metadata;
  return {
    host: known({
      name: record.host,
      zone: zoneOf(record, host),
      labels: host?.labels ?? labels,
      gpu: known({
        memory: whole(host?.gpu?.memory ?? quantity(labels["gpu.memory"]) ?? requires.vram),
        count: whole(host?.gpu?.count ?? quantity(labels["gpu.count"]) ?? requires.gpu_count),
        name: host?.gpu?.name ?? labels["gpu.name"],
        compute_capability:
          host?.gpu?.computeCapability ?? decimal(labels["gpu.compute_capability"]) ?? requires.compute_capability_min,
      }),
      memory: whole(host?.memory ?? quantity(labels.memory) ?? requires.memory),
      cpu: host?.cpu ?? decimal(labels.cpu) ?? requires.cpu,
    }),
    instance: known({
      name: record.instance,
      service: record.service,
      labels,
      release: record.release?.version,
      state: record.state,
    }),
    service: record.service,
    model: known({
      id: model.id,
      context_window: whole(model.context_window ?? undefined),
      size_bytes: whole(model.size_bytes ?? undefined),
      features: model.features,
    }),
  };
}

function known(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const name in values) if (values[name] !== undefined) result[name] = values[name];
  return result;
}

/** CEL's whole numbers are 64 bits wide. */
function whole(value: number | undefined): bigint | undefined {
  return value === undefined ? undefined : BigInt(Math.trunc(value));
}

function quantity(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseQuantity(text);
}

function decimal(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}
