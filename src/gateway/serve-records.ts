import { NexusError } from "../base/errors.ts";
import { operations } from "../contract/operations.ts";
import type { DryRun } from "../records/dry-run.ts";
import type { RequestRecord } from "../records/request-record.ts";
import { readJsonAsk } from "./ask.ts";
import { chooseModel } from "./choose-model.ts";
import type { Caller, Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { planFor } from "./plan-request.ts";
import { readBody } from "./read-body.ts";
import { sendJson } from "./send-json.ts";
import { recordedChoice } from "./to-record.ts";
import { translationContext } from "./translation-context.ts";
import { translators } from "./translators.ts";

const prefix = "/v1/nexus/requests/";
const listMax = 1_000;

/** Operators see every request, others their own. */
function visibleTo(caller: Caller | undefined): (record: RequestRecord) => boolean {
  return (record) => caller?.role === "admin" || record.key === caller?.keyId;
}

/** What only operators may know: which backend said what. */
function withoutDetail(record: RequestRecord, caller: Caller | undefined): RequestRecord {
  if (caller?.role === "admin") return record;
  const { detail: _detail, ...rest } = record;
  return rest;
}

/** `GET /v1/nexus/requests/{id}` */
export async function serveRecord(exchange: Exchange, parts: GatewayParts, path: string): Promise<void> {
  const id = path.slice(prefix.length);
  const record = await parts.records.find(id, visibleTo(exchange.caller));
  if (record === undefined) {
    throw new NexusError(
      "not_found",
      `There is no record of the request '${id.slice(0, 128)}': it is too old, too new, or was never here.`,
    );
  }
  sendJson(exchange, 200, withoutDetail(record, exchange.caller));
}

/** `GET /v1/nexus/requests?limit=20&model=ID&failed=true`: the newest first, from memory. */
export async function serveRecords(exchange: Exchange, parts: GatewayParts): Promise<void> {
  const query = new URL(exchange.request.target, "http://gateway").searchParams;
  const limit = Number(query.get("limit") ?? 20);
  if (!Number.isInteger(limit) || limit < 1 || limit > listMax) {
    throw new NexusError("invalid_request", `'limit' must be a number from 1 to ${listMax}.`, { param: "limit" });
  }
  const { caller } = exchange;
  const model = query.get("model");
  const data = await parts.records.list(
    {
      ...(model === null ? {} : { model }),
      ...(query.get("failed") === "true" ? { failed: true } : {}),
      ...(caller?.role === "admin" || caller === undefined ? {} : { key: caller.keyId }),
    },
    limit,
  );
  sendJson(exchange, 200, { object: "list", data: data.map((record) => withoutDetail(record, caller)) });
}

interface Question {
  readonly operation: string;
  readonly request: Readonly<Record<string, unknown>>;
}

/** `POST /v1/nexus/explain`: where a request would go if it were sent now. Nothing is sent. */
export async function serveDryRun(exchange: Exchange, parts: GatewayParts): Promise<void> {
  const { operation: id, request } = readQuestion(await readBody(exchange, parts.settings.bodyBytesMax));
  const operation = operations.find((known) => known.id === id && known.owner === "instance" && known.model === "body");
  if (operation === undefined) {
    throw new NexusError(
      "invalid_request",
      `There is no operation '${id.slice(0, 128)}' that is routed by its model.`,
      {
        param: "operation",
      },
    );
  }
  const body = Buffer.from(JSON.stringify(request));
  const context = translationContext(exchange, parts);
  const read = readJsonAsk({ operation, body, isNative: true, translators, context });
  const ask = chooseModel(read, exchange, parts);
  const plan = planFor({ exchange, ask, parts });
  const run: DryRun = {
    operation: id,
    model: ask.model,
    resolved_model: plan.model,
    ...(plan.route === undefined ? {} : { route: plan.route.name }),
    stream: ask.stream,
    needs: Object.keys(ask.needs).filter((need) => ask.needs[need] === true),
    ...recordedChoice(plan, id),
    ...(plan.failure === undefined ? {} : { refusal: plan.failure }),
  };
  sendJson(exchange, 200, run);
}

function readQuestion(body: Buffer): Question {
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8"));
  } catch (cause) {
    throw new NexusError("invalid_json", "The body is not valid JSON.", { cause });
  }
  const { operation = "chat.completions.create", request } = (value ?? {}) as Record<string, unknown>;
  if (typeof operation !== "string" || typeof request !== "object" || request === null || Array.isArray(request)) {
    throw new NexusError("invalid_request", 'Send {"operation": "...", "request": {"model": "..."}}.');
  }
  return { operation, request: request as Record<string, unknown> };
}
