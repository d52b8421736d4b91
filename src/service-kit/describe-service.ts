import { z } from "zod";
import { closeNames } from "../base/close-names.ts";
import { NexusError } from "../base/errors.ts";
import {
  contractVersion,
  descriptorSchema,
  type Model,
  metadataSchema,
  modelSchema,
  type ServiceDescriptor,
  type ServiceMetadata,
} from "../contract/metadata.ts";
import {
  endpointOf,
  type Operation,
  type OperationId,
  operationById,
  responseTypesOf,
} from "../contract/operations.ts";
import type { Service } from "./service.ts";

/** Which copy of which service on which machine. */
export interface Identity {
  readonly service: string;
  readonly instance: string;
  readonly host: string;
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
}

/** The operations of the contract that a service has handlers for. */
export function handledOperations(service: Service): readonly Operation[] {
  return Object.keys(service.handlers).map((id) => operationById(id as OperationId));
}

/** `GET /v1/metadata`. Throws when `models()` answers something that is no model: a defect of the service. */
export function describeService(service: Service, identity: Identity): ServiceMetadata {
  const contractEndpoints = handledOperations(service).map((operation) => ({
    ...endpointOf(operation),
    streaming: operation.streaming && (service.capabilities.streaming ?? false),
  }));
  const ownEndpoints = (service.endpoints ?? []).map(
    ({ handler: _handler, accepts: _accepts, response_types: _types, ...endpoint }) => endpoint,
  );
  return metadataSchema.parse({
    schema_version: contractVersion,
    service: { name: identity.service, version: service.version, description: service.description },
    instance: {
      id: identity.instance,
      host: identity.host,
      started_at: new Date(identity.startedAtMs).toISOString(),
    },
    backend: service.backend,
    endpoints: [...contractEndpoints, ...ownEndpoints],
    capabilities: service.capabilities,
    models: service.models(),
    requires: service.requires,
    ui: service.ui,
  });
}

/** `GET /v1/descriptor`: the metadata and what a console needs. */
export function describeForConsole(service: Service, metadata: ServiceMetadata): ServiceDescriptor {
  const own = new Map((service.endpoints ?? []).map((endpoint) => [endpoint.operation_id, endpoint.response_types]));
  const contract = new Map(handledOperations(service).map((operation) => [operation.id, responseTypesOf(operation)]));
  const typesOf = (id: string, streaming: boolean): readonly string[] => {
    const types = own.get(id) ?? contract.get(id);
    if (types === undefined) return streaming ? ["application/json", "text/event-stream"] : ["application/json"];
    return streaming || own.has(id) ? types : types.filter((type) => type !== "text/event-stream");
  };
  return descriptorSchema.parse({
    ...metadata,
    response_types: Object.fromEntries(
      metadata.endpoints.map((endpoint) => [endpoint.operation_id, typesOf(endpoint.operation_id, endpoint.streaming)]),
    ),
    ui_navigation: {
      section: metadata.capabilities.domains[0] ?? "services",
      title: metadata.service.name,
      ...service.navigation,
    },
  });
}

const modelsSchema = z.array(modelSchema);

export function currentModels(service: Service): readonly Model[] {
  return modelsSchema.parse(service.models());
}

/** One entry of `GET /v1/models`: OpenAI's fields first, then ours. */
export function modelEntry(model: Model, identity: Identity): Record<string, unknown> {
  return {
    ...model,
    object: "model",
    created: Math.floor(identity.startedAtMs / 1000),
    owned_by: identity.service,
  };
}

/**
 * The model with this id or alias.
 * @throws NexusError `model_not_found` that lists close names.
 */
export function findModel(models: readonly Model[], id: string): Model {
  const found = models.find((model) => model.id === id) ?? models.find((model) => model.aliases.includes(id));
  if (found !== undefined) return found;
  const close = closeNames(
    id,
    models.flatMap((model) => [model.id, ...model.aliases]),
    3,
  );
  const hint = close.length === 0 ? "GET /v1/models lists what there is." : `Did you mean ${close.join(" or ")}?`;
  throw new NexusError("model_not_found", `This service has no model ${quote(id)}. ${hint}`, { param: "model" });
}

/**
 * The model that a request for an operation of the contract names.
 * @throws NexusError `missing_model`, `model_not_found`, or `unsupported_feature` when it is for other operations.
 */
export function requestedModel(models: readonly Model[], id: unknown, operation: Operation): Model {
  if (typeof id !== "string" || id === "") {
    throw new NexusError("missing_model", `The ${operation.model} must name a \`model\`.`, { param: "model" });
  }
  const model = findModel(models, id);
  const isFor = model.domains.some((domain) => operation.domains.includes(domain));
  if (isFor && (operation.feature === undefined || model.features[operation.feature] === true)) return model;
  throw new NexusError(
    "unsupported_feature",
    `The model ${quote(id)} is for ${model.domains.join(", ")} and does not serve ${operation.id}.`,
    { param: "model" },
  );
}

/** What a client sent, short enough to be sent back. */
function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}...` : text);
}
