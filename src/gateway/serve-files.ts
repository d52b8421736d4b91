import type { Readable } from "node:stream";
import { NexusError } from "../base/errors.ts";
import type { OperationId } from "../contract/operations.ts";
import { resultPurpose, type StoredFile } from "../objects/file-store.ts";
import { contentRange, contentRangeBeyond, rangeOf, wantedBytes } from "./byte-range.ts";
import { type Exchange, tenantOf } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { queryOf, readPageQuery, toList } from "./page-query.ts";
import { type ReceivedUpload, receiveUpload } from "./receive-upload.ts";
import type { Route } from "./routes.ts";
import { sendJson } from "./send-json.ts";

/** What OpenAI's clients send files for. */
const purposes: readonly string[] = ["assistants", "batch", "evals", "fine-tune", "user_data", "vision"];
/** An hour to 30 days, as OpenAI has it. */
const expirySeconds = { min: 3_600, max: 2_592_000 };
/** Room for the fields of a form and what is around them. */
const formBytes = 64 * 1024;

/** `POST /v1/files` */
async function create(exchange: Exchange, { objects }: GatewayParts): Promise<void> {
  refuseTooLong(exchange, objects.files.fileBytesMax);
  const received = await receiveUpload(exchange, objects.files);
  exchange.readAt = exchange.clock.monotonic();
  try {
    const label = { ...readFields(received, exchange.clock.now()), tenant: tenantOf(exchange) };
    sendJson(exchange, 200, toFileObject(await received.upload.finish(label)));
  } finally {
    await received.upload.abandon();
  }
}

/** Whoever announces too much is told before it is sent. */
function refuseTooLong({ request }: Exchange, fileBytesMax: number): void {
  if (Number(request.header("content-length") ?? 0) <= fileBytesMax + formBytes) return;
  throw new NexusError(
    "storage_full",
    `The file is larger than ${fileBytesMax} bytes. Send less, or raise \`files.fileBytesMax\`.`,
  );
}

function readFields({ fields, filename }: ReceivedUpload, now: number) {
  const purpose = fields.get("purpose") ?? "";
  if (!purposes.includes(purpose)) throw wrong("purpose", `must be one of ${purposes.join(", ")}`);
  return { purpose, filename, expiresAt: readExpiry(fields, now) };
}

/** `expires_after[anchor]` and `expires_after[seconds]` */
function readExpiry(fields: ReadonlyMap<string, string>, now: number): number | null {
  const anchor = fields.get("expires_after[anchor]");
  const seconds = fields.get("expires_after[seconds]");
  if (anchor === undefined && seconds === undefined) return null;
  return now + readExpirySeconds({ anchor, seconds: Number(seconds) }) * 1_000;
}

/** OpenAI's `expires_after` and `output_expires_after`, in seconds. @throws NexusError `invalid_request` */
export function readExpirySeconds({
  anchor,
  seconds,
}: {
  readonly anchor?: unknown;
  readonly seconds?: unknown;
}): number {
  if (anchor !== "created_at") throw wrong("expires_after", "must have the anchor `created_at`");
  const { min, max } = expirySeconds;
  const isGood = typeof seconds === "number" && Number.isInteger(seconds) && seconds >= min && seconds <= max;
  if (!isGood) throw wrong("expires_after", `must have \`seconds\` from ${min} to ${max}`);
  return seconds;
}

function wrong(param: string, problem: string): NexusError {
  return new NexusError("invalid_request", `'${param}' ${problem}.`, { param });
}

/** `GET /v1/files` */
async function list(exchange: Exchange, { objects }: GatewayParts): Promise<void> {
  const purpose = queryOf(exchange).get("purpose") ?? undefined;
  const query = readPageQuery(exchange, { usual: 1_000, max: 10_000 });
  const { entries, hasMore } = await objects.files.page(tenantOf(exchange), query, purpose);
  sendJson(exchange, 200, toList({ entries: entries.map(toFileObject), hasMore }));
}

/** `GET /v1/files/{id}` */
async function retrieve(exchange: Exchange, parts: GatewayParts, path: string): Promise<void> {
  sendJson(exchange, 200, toFileObject(await findFile(exchange, parts, path)));
}

/** `DELETE /v1/files/{id}` */
async function remove(exchange: Exchange, parts: GatewayParts, path: string): Promise<void> {
  const { id, tenant } = await findFile(exchange, parts, path);
  if (await parts.objects.batches.reads(tenant, id)) {
    throw new NexusError("conflict", "A batch that is not finished reads this file. Cancel it first, or wait.");
  }
  await parts.objects.files.remove(tenant, id);
  sendJson(exchange, 200, { id, object: "file", deleted: true });
}

/** `GET /v1/files/{id}/content`: all of it or a part. `HEAD` tells how large it is. */
async function content(exchange: Exchange, parts: GatewayParts, path: string): Promise<void> {
  const file = await findFile(exchange, parts, path);
  const { reply, request } = exchange;
  // A file of this name may be written anew, as a batch's results are after a crash: then at another time.
  const etag = `"${file.id}-${file.createdAt}"`;
  const wanted = wantedBytes(rangeOf(request, etag), file.bytes);
  if (wanted === "beyond") {
    reply.setHeader("content-range", contentRangeBeyond(file.bytes));
    throw new NexusError("range_not_satisfiable", `There are ${file.bytes} bytes of this file.`);
  }
  const isWhole = wanted === "whole";
  const isJsonLines = file.purpose === "batch" || file.purpose === resultPurpose;
  const headers = {
    "content-type": isJsonLines ? "application/jsonl" : "application/octet-stream",
    "content-length": isWhole ? file.bytes : wanted.end - wanted.start + 1,
    "content-disposition": `attachment; filename*=UTF-8''${encodeURIComponent(file.filename)}`,
    "accept-ranges": "bytes",
    etag,
    ...(isWhole ? {} : { "content-range": contentRange(wanted, file.bytes) }),
  };
  const source = await parts.objects.files.read(file, isWhole ? undefined : wanted);
  reply.writeHead(isWhole ? 200 : 206, headers);
  exchange.firstByteAt = exchange.clock.monotonic();
  if (request.method !== "HEAD") return await sendAll(source, exchange);
  source.destroy();
  reply.end();
}

/** As fast as the client reads. Half a file is never taken for a whole one. */
async function sendAll(source: Readable, exchange: Exchange): Promise<void> {
  const { reply, signal } = exchange;
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      exchange.bytesOut += chunk.length;
      if (!reply.write(chunk)) await drained(exchange);
      if (signal.aborted) return;
    }
    reply.end();
  } catch (error) {
    reply.destroy();
    throw error;
  } finally {
    source.destroy();
  }
}

function drained({ reply, signal }: Exchange): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  reply.onDrain(resolve);
  signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}

/** @throws NexusError `not_found` for what is not there, or somebody else's. */
async function findFile(exchange: Exchange, { objects }: GatewayParts, path: string): Promise<StoredFile> {
  const id = path.split("/")[3] ?? "";
  const file = await objects.files.find(tenantOf(exchange), id);
  if (file === undefined) throw new NexusError("not_found", `There is no file '${id.slice(0, 128)}'.`);
  return file;
}

const seconds = (ms: number) => Math.floor(ms / 1_000);

function toFileObject({ id, bytes, createdAt, expiresAt, filename, purpose }: StoredFile) {
  return {
    id,
    object: "file",
    bytes,
    created_at: seconds(createdAt),
    ...(expiresAt === null ? {} : { expires_at: seconds(expiresAt) }),
    filename,
    purpose,
    status: "processed",
  };
}

/** Files, by operation. */
export const serveFiles = {
  "files.create": create,
  "files.list": list,
  "files.retrieve": retrieve,
  "files.content": content,
  "files.delete": remove,
} as const satisfies Partial<Record<OperationId, Route["serve"]>>;
