import { type ErrorCode, errorTable, type NexusError, toNexusError } from "../base/errors.ts";
import { ClientAnswer } from "./client-answer.ts";
import type { ClientReply, ClientRequest } from "./client-io.ts";
import { type AttemptRecord, Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { serveRoute } from "./routes.ts";
import { EndedExchange, roundMs } from "./to-record.ts";

/**
 * Serves one request from its head to its last byte, whichever server read it: opens the exchange, and is the only
 * place that catches, renders errors and writes the completion record. `problem` is what is wrong with the head.
 */
export async function serveExchange(
  request: ClientRequest,
  reply: ClientReply,
  parts: GatewayParts,
  problem?: NexusError,
): Promise<void> {
  const exchange = new Exchange(request, reply, parts);
  parts.metrics.opened();
  reply.onClose((finished) => complete(exchange, finished, parts));
  try {
    if (problem !== undefined) throw problem;
    if (parts.state().draining) reply.setHeader("connection", "close");
    await serveRoute(pathOf(request.target), exchange, parts);
  } catch (thrown) {
    fail(exchange, toNexusError(thrown), parts);
  }
}

function fail(exchange: Exchange, error: NexusError, parts: GatewayParts): void {
  exchange.errorCode = error.code;
  exchange.errorDetail = error.detail;
  if (error.code === "internal_error") exchange.log.error({ detail: error.detail, stack: stackOf(error) }, "defect");
  if (error.code === "client_closed") {
    exchange.reply.destroy();
    return;
  }
  if (error.code === "method_not_allowed" && !exchange.reply.headersSent) {
    exchange.reply.setHeader("allow", error.detail ?? "");
  }
  new ClientAnswer(exchange, parts.settings.timeouts.heartbeatMs).fail(error);
}

function stackOf(error: NexusError): string | undefined {
  return error.cause instanceof Error ? error.cause.stack : error.stack;
}

function pathOf(target: string): string {
  const query = target.indexOf("?");
  return query === -1 ? target : target.slice(0, query);
}

/** Pages that are asked for every second say nothing in the log. */
const quietOperations = new Set(["health", "readyz", "metrics"]);

function complete(exchange: Exchange, finished: boolean, parts: GatewayParts): void {
  const { metrics, clock, log } = parts;
  const { reply, request } = exchange;
  const left = !finished;
  if (left) exchange.errorCode ??= "client_closed" satisfies ErrorCode;
  const status = exchange.errorCode === "client_closed" ? errorTable.client_closed.status : reply.status;
  const durationMs = clock.monotonic() - exchange.startedAt;
  exchange.end();
  metrics.completed(exchange, status, durationMs / 1_000);
  if (exchange.readAt !== undefined) {
    const { instance: gateway } = parts.identity;
    parts.records.add(new EndedExchange(exchange, { status, durationMs, gateway, endedAt: clock.now() }));
  }
  const level = quietOperations.has(exchange.operation) && status < 500 ? "debug" : "info";
  log[level](
    {
      request_id: exchange.id,
      trace_id: exchange.trace.traceId,
      method: request.method,
      operation: exchange.operation,
      status,
      code: exchange.errorCode,
      detail: exchange.errorDetail,
      key: exchange.caller?.keyId,
      model: exchange.model,
      stream: exchange.stream,
      instance: exchange.instance,
      attempts: exchange.attempts.length === 0 ? undefined : exchange.attempts.length,
      failed_attempts: failedAttempts(exchange),
      duration_ms: roundMs(durationMs),
      first_byte_ms:
        exchange.firstByteAt === undefined ? undefined : roundMs(exchange.firstByteAt - exchange.startedAt),
      bytes_in: exchange.bytesIn,
      bytes_out: exchange.bytesOut,
      prompt_tokens: exchange.usage?.promptTokens,
      completion_tokens: exchange.usage?.completionTokens,
    },
    "request completed",
  );
}

/** Undefined where all went well, which is nearly always. */
function failedAttempts({ attempts }: Exchange): readonly AttemptRecord[] | undefined {
  const isClean = attempts.every(({ failure }) => failure === undefined);
  return isClean ? undefined : attempts.filter(({ failure }) => failure !== undefined);
}
