import { type Operation, operations } from "../contract/operations.ts";
import type { LineAnswer } from "../objects/batch-store.ts";
import type { Line } from "../objects/json-lines.ts";
import { newObjectId } from "../objects/object-id.ts";
import { isObject, type JsonObject } from "../translate/request-fields.ts";
import type { CollectedAnswer } from "./collected-reply.ts";

/** Operations whose requests can be lines of a batch, by their path: JSON in, JSON out, for a model. */
export const batchOperations: ReadonlyMap<string, Operation> = new Map(
  operations
    .filter(({ owner, method, model, body, answers, job }) => {
      const isJson = (body === "json" || body === "either") && answers.includes("json");
      return owner === "instance" && method === "POST" && model === "body" && job === undefined && isJson;
    })
    .map((operation) => [operation.path, operation]),
);

/** A line that can be asked. */
export interface BatchRequest {
  readonly line: number;
  readonly customId: string;
  readonly body: JsonObject;
}

/** Why a line cannot be asked, or was not. */
export interface LineProblem {
  readonly line: number;
  readonly customId: string | null;
  readonly code: string;
  readonly message: string;
}

/** Reads the lines of one batch; it knows those before. */
export class BatchLineReader {
  readonly #endpoint: string;
  readonly #customIds = new Set<string>();

  constructor(endpoint: string) {
    this.#endpoint = endpoint;
  }

  read({ number: line, text }: Line): BatchRequest | LineProblem {
    const wrong = (code: string, message: string, customId: string | null = null) => ({
      line,
      customId,
      code,
      message,
    });
    if (text === undefined) return wrong("invalid_line", "The line is too long, or not UTF-8.");
    const value = parse(text);
    if (!isObject(value)) return wrong("invalid_json_line", "The line is not a JSON object.");
    const { custom_id: customId, method = "POST", url, body } = value;
    if (typeof customId !== "string" || customId === "" || customId.length > 512) {
      return wrong("invalid_custom_id", "'custom_id' must be a text of 1 to 512 characters.");
    }
    if (this.#customIds.has(customId))
      return wrong("duplicate_custom_id", "An earlier line has this `custom_id`.", customId);
    this.#customIds.add(customId);
    if (method !== "POST") return wrong("invalid_method", "'method' must be \"POST\".", customId);
    if (url !== this.#endpoint) return wrong("invalid_url", `'url' must be the batch's: ${this.#endpoint}.`, customId);
    if (!isObject(body)) return wrong("invalid_request", "'body' must be an object.", customId);
    if (body.stream === true) return wrong("invalid_request", "A batch cannot stream: leave 'stream' out.", customId);
    return { line, customId, body };
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What the error file says of a line without an answer. */
export function toProblemAnswer({ line, customId, code, message }: LineProblem): LineAnswer {
  const document = {
    id: newObjectId("batch_req_"),
    custom_id: customId,
    response: null,
    error: { code, message, line },
  };
  return { line, isError: true, document: JSON.stringify(document) };
}

/** What the output or the error file says of a line with an answer. */
export function toLineAnswer({ line, customId }: BatchRequest, { status, headers, body }: CollectedAnswer): LineAnswer {
  const text = body.toString("utf8");
  const response = {
    status_code: status,
    request_id: String(headers.get("x-request-id") ?? ""),
    body: parse(text) ?? text,
  };
  const document = { id: newObjectId("batch_req_"), custom_id: customId, response, error: null };
  return { line, isError: status >= 300, document: JSON.stringify(document) };
}
