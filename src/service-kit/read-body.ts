import type { IncomingMessage, ServerResponse } from "node:http";
import { NexusError } from "../base/errors.ts";
import { jsonDepthMax } from "../base/json-depth.ts";

/** Bytes of request bodies that a process holds at once. */
export interface BodyBudget {
  readonly bytesMax: number;
  used: number;
}

/**
 * Bodies of this many requests at full size fit in memory together; ordinary ones are thousands of times smaller, so
 * only a flood of giants meets it.
 */
const fullSizeBodies = 4;

export function createBodyBudget(bodyBytesMax: number): BodyBudget {
  return { bytesMax: fullSizeBodies * bodyBytesMax, used: 0 };
}

/** A body and the promise to give its bytes back to the budget. */
export interface HeldBody {
  readonly bytes: Buffer;
  release(): void;
}

/**
 * Reads a whole body.
 * @throws NexusError `request_too_large` above `bytesMax`, `queue_full` when the process holds too many bytes already,
 * `client_closed` when the client leaves.
 */
export async function readBody(
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
  bytesMax: number,
  budget: BodyBudget,
): Promise<HeldBody> {
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) throw tooLarge(bytesMax);
  // A client that asks before it sends is only told to go on when the body is wanted.
  if (request.headers.expect !== undefined) response.writeContinue();
  const chunks: Buffer[] = [];
  let length = 0;
  const release = (): void => {
    budget.used -= length;
    length = 0;
  };
  try {
    // Not destroyed when the loop ends early: the answer goes out over the same socket.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      length += chunk.length;
      budget.used += chunk.length;
      if (length > bytesMax) throw tooLarge(bytesMax);
      if (budget.used > budget.bytesMax) {
        throw new NexusError("queue_full", "Too many large requests at once. Try again.", { retryAfterSeconds: 1 });
      }
      chunks.push(chunk);
    }
  } catch (error) {
    release();
    if (error instanceof NexusError) throw error;
    throw new NexusError("client_closed", "The client left before its request was complete.", { cause: error });
  }
  return { bytes: chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, length), release };
}

function tooLarge(bytesMax: number): NexusError {
  return new NexusError("request_too_large", `The body is larger than the ${bytesMax} bytes that this service reads.`);
}

/**
 * Throws away what is left of a body whose answer is an error, so that a client in the middle of sending gets to read
 * the answer instead of a reset connection. Stops after `bytesMax` or when `signal` aborts.
 */
export async function discardBody(request: IncomingMessage, bytesMax: number, signal: AbortSignal): Promise<void> {
  if (request.complete || request.destroyed || signal.aborted) return;
  let length = 0;
  await new Promise<void>((resolve) => {
    const stop = (): void => {
      request.off("data", count);
      signal.removeEventListener("abort", stop);
      resolve();
    };
    const count = (chunk: Buffer): void => {
      length += chunk.length;
      if (length > bytesMax) stop();
    };
    request.on("data", count).once("end", stop).once("close", stop);
    signal.addEventListener("abort", stop, { once: true });
    request.resume();
  });
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * The JSON object in a body.
 * @throws NexusError `invalid_json` when it is not UTF-8, not JSON or not an object.
 */
export function parseJsonObject(bytes: Buffer): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(bytes));
  } catch (error) {
    throw new NexusError("invalid_json", "The body is not valid JSON in UTF-8.", { cause: error });
  }
  if (!isNode(value) || Array.isArray(value)) throw new NexusError("invalid_json", "The body must be a JSON object.");
  if (isDeeper(value, jsonDepthMax)) {
    throw new NexusError("invalid_json", `The body is nested deeper than ${jsonDepthMax} levels.`);
  }
  return value as Record<string, unknown>;
}

function isNode(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isDeeper(value: object, depthMax: number): boolean {
  let level = [value];
  for (let depth = 0; depth < depthMax && level.length > 0; depth++) {
    level = level.flatMap((node) => Object.values(node).filter(isNode));
  }
  return level.length > 0;
}

/** `application/json` of `Application/JSON; charset=utf-8`; empty when there is none. */
export function mediaType(contentType: string | undefined): string {
  return (contentType ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

/** `application/json` and the `+json` family. */
export function isJson(type: string): boolean {
  return type === "application/json" || /^application\/[a-z0-9.-]+\+json$/.test(type);
}
