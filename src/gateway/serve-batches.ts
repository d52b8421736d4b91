import { NexusError } from "../base/errors.ts";
import type { OperationId } from "../contract/operations.ts";
import type { Batch } from "../objects/batch-store.ts";
import { newObjectId } from "../objects/object-id.ts";
import { isGiven, isObject, type JsonObject, parseRequest } from "../translate/request-fields.ts";
import { requireAllowed } from "./authenticate.ts";
import { batchOperations } from "./batch-line.ts";
import { type Exchange, tenantOf } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { readPageQuery, toList } from "./page-query.ts";
import { readBody } from "./read-body.ts";
import type { Route } from "./routes.ts";
import { sendJson } from "./send-json.ts";
import { readExpirySeconds } from "./serve-files.ts";

/** OpenAI has 24 hours only; here a batch may take a week. */
const windowHoursMax = 168;
/** As OpenAI has it: 16 pairs of up to 64 and 512 characters. */
const metadataMax = { pairs: 16, key: 64, value: 512 };

/** `POST /v1/batches` */
async function create(exchange: Exchange, parts: GatewayParts): Promise<void> {
  const body = parseRequest(await readBody(exchange, parts.settings.bodyBytesMax));
  exchange.readAt = exchange.clock.monotonic();
  const batch = readBatch(body, exchange);
  const file = await parts.objects.files.find(batch.tenant, batch.inputFileId);
  if (file === undefined) throw wrong("input_file_id", "names no file of yours", "not_found");
  if (file.purpose !== "batch") throw wrong("input_file_id", "must name a file that was uploaded for `batch`");
  await parts.objects.batches.add(batch, parts.batches.openMax);
  parts.batches.wake();
  sendJson(exchange, 200, toBatchObject(batch));
}

function readBatch(body: JsonObject, exchange: Exchange): Batch {
  const { input_file_id: inputFileId, endpoint, completion_window: completionWindow, metadata } = body;
  if (typeof inputFileId !== "string") throw wrong("input_file_id", "must name a file");
  const operation = typeof endpoint === "string" ? batchOperations.get(endpoint) : undefined;
  if (typeof endpoint !== "string" || operation === undefined) {
    throw wrong("endpoint", `must be one of ${[...batchOperations.keys()].join(", ")}`);
  }
  if (exchange.caller !== undefined) requireAllowed(exchange.caller, operation.id);
  const createdAt = exchange.clock.now();
  return {
    id: newObjectId("batch_"),
    tenant: tenantOf(exchange),
    keyId: exchange.caller?.keyId ?? "none",
    endpoint,
    inputFileId,
    completionWindow: String(completionWindow),
    metadata: readMetadata(metadata),
    outputExpiryMs: readOutputExpiry(body.output_expires_after),
    status: "validating",
    errors: [],
    moments: {},
    outputFileId: null,
    errorFileId: null,
    total: 0,
    completed: 0,
    failed: 0,
    createdAt,
    expiresAt: createdAt + readWindowMs(completionWindow),
  };
}

function readWindowMs(value: unknown): number {
  const hours = typeof value === "string" ? Number(/^([1-9]\d{0,2})h$/.exec(value)?.[1]) : Number.NaN;
  if (!(hours <= windowHoursMax)) throw wrong("completion_window", 'must be a number of hours, such as "24h"');
  return hours * 3_600_000;
}

function readMetadata(value: unknown): Readonly<Record<string, string>> | null {
  if (!isGiven(value)) return null;
  const pairs = isObject(value) ? Object.entries(value) : undefined;
  const isGood = pairs?.every(
    ([key, text]) => key.length <= metadataMax.key && typeof text === "string" && text.length <= metadataMax.value,
  );
  if (pairs === undefined || !isGood || pairs.length > metadataMax.pairs) {
    throw wrong("metadata", "must be an object of up to 16 short texts");
  }
  return Object.fromEntries(pairs.map(([key, text]) => [key, String(text)]));
}

function readOutputExpiry(value: unknown): number | null {
  if (!isGiven(value)) return null;
  return readExpirySeconds(isObject(value) ? value : {}) * 1_000;
}

function wrong(param: string, problem: string, code: "invalid_request" | "not_found" = "invalid_request"): NexusError {
  return new NexusError(code, `'${param}' ${problem}.`, { param });
}

/** `GET /v1/batches` */
async function list(exchange: Exchange, { objects }: GatewayParts): Promise<void> {
  const query = readPageQuery(exchange, { usual: 20, max: 100 });
  const { entries, hasMore } = await objects.batches.page(tenantOf(exchange), query);
  sendJson(exchange, 200, toList({ entries: entries.map(toBatchObject), hasMore }));
}

/** `GET /v1/batches/{id}` */
async function retrieve(exchange: Exchange, { objects }: GatewayParts, path: string): Promise<void> {
  const id = path.split("/")[3] ?? "";
  sendJson(exchange, 200, toBatchObject(required(await objects.batches.find(tenantOf(exchange), id), id)));
}

/** `POST /v1/batches/{id}/cancel`: what runs is stopped, what was answered is kept. */
async function cancel(exchange: Exchange, { objects, batches }: GatewayParts, path: string): Promise<void> {
  const id = path.split("/")[3] ?? "";
  const batch = required(await objects.batches.cancel(tenantOf(exchange), id), id);
  if (batch.status === "cancelling") {
    batches.cancel(id);
    batches.wake();
  }
  sendJson(exchange, 200, toBatchObject(batch));
}

function required(batch: Batch | undefined, id: string): Batch {
  if (batch === undefined) throw new NexusError("not_found", `There is no batch '${id.slice(0, 128)}'.`);
  return batch;
}

const seconds = (ms: number) => Math.floor(ms / 1_000);
const datedStatuses = [
  "in_progress",
  "finalizing",
  "completed",
  "failed",
  "expired",
  "cancelling",
  "cancelled",
] as const satisfies readonly Batch["status"][];

function toBatchObject(batch: Batch) {
  const moments = datedStatuses.map((status) => {
    const at = batch.moments[status];
    return [`${status}_at`, at === undefined ? null : seconds(at)] as const;
  });
  return {
    id: batch.id,
    object: "batch",
    endpoint: batch.endpoint,
    errors: batch.errors.length === 0 ? null : { object: "list", data: batch.errors },
    input_file_id: batch.inputFileId,
    completion_window: batch.completionWindow,
    status: batch.status,
    output_file_id: batch.outputFileId,
    error_file_id: batch.errorFileId,
    created_at: seconds(batch.createdAt),
    expires_at: seconds(batch.expiresAt),
    ...Object.fromEntries(moments),
    request_counts: { total: batch.total, completed: batch.completed, failed: batch.failed },
    metadata: batch.metadata,
  };
}

/** Batches, by operation. */
export const serveBatches = {
  "batches.create": create,
  "batches.list": list,
  "batches.retrieve": retrieve,
  "batches.cancel": cancel,
} as const satisfies Partial<Record<OperationId, Route["serve"]>>;
