import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type * as Ws from "ws";
import type { WebSocket } from "ws";
import { describeError, NexusError } from "../base/errors.ts";
import { toTraceparent } from "../base/ids.ts";
import { loadLater } from "../base/load-later.ts";
import { operationById } from "../contract/operations.ts";
import { AttemptFailure, clientClosed } from "../resilience/attempt-failure.ts";
import type { Candidate } from "../routing/route-plan.ts";
import type { Ask } from "./ask.ts";
import { dispatch, type Opener } from "./dispatch.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { meterRequest } from "./meter-request.ts";
import type { Question } from "./plan-request.ts";
import { refusalOf } from "./refusal-of.ts";
import { relaySockets } from "./relay-sockets.ts";

const operation = operationById("realtime.connect");
const ws = loadLater<typeof Ws>("ws");

/** `GET /v1/realtime?model=ID` as a WebSocket: routed like every request, then both sides talk until one ends it. */
export async function serveRealtime(exchange: Exchange, parts: GatewayParts): Promise<void> {
  const { upgrade } = exchange.request;
  if (upgrade === undefined) {
    throw new NexusError("invalid_request", "Connect with a WebSocket: this operation speaks nothing else.");
  }
  const question: Question = { exchange, ask: readAsk(exchange), parts };
  exchange.readAt = exchange.clock.monotonic();
  exchange.stream = true;
  const closeRequest = parts.retryBudget.openRequest();
  try {
    const begun = await dispatch(question, socketOpener(question), () => meterRequest(question));
    try {
      const client = await upgrade.accept();
      exchange.firstByteAt = exchange.clock.monotonic();
      const end = await relaySockets(client, begun.answer, (bytes) => {
        exchange.bytesOut += bytes;
      });
      exchange.usage = end.usage;
      if (end.by === "broken") {
        exchange.errorCode = "backend_disconnected";
        begun.breakOff("the connection broke in the middle of a conversation");
      } else {
        begun.succeed();
        if (end.by !== "gone") upgrade.endedWell();
      }
    } finally {
      begun.answer.terminate();
      begun.withdraw();
    }
  } finally {
    closeRequest();
  }
}

function socketOpener(question: Question): Opener<WebSocket> {
  return {
    open: (candidate, _way, signal) => openSocket(question, candidate, signal),
    discard: (socket) => socket.terminate(),
  };
}

function readAsk(exchange: Exchange): Ask {
  const model = new URL(exchange.request.target, "http://gateway").searchParams.get("model") ?? "";
  if (model === "" || model.length > 256) {
    throw new NexusError("missing_model", "Name the model in the address: /v1/realtime?model=ID.", { param: "model" });
  }
  const way = {
    operationId: operation.id,
    contentType: "application/json",
    bodyFor: () => Buffer.alloc(0),
    translation: () => undefined,
  };
  return { operation, model, stream: true, needs: { realtime: true }, ways: [way], bytes: 0 };
}

/** Opens the conversation with one instance. @throws AttemptFailure when another one may do better. */
async function openSocket(
  { exchange, parts }: Question,
  candidate: Candidate,
  signal: AbortSignal,
): Promise<WebSocket> {
  const { timeouts } = parts.settings;
  const url = new URL(`${candidate.record.base_url}${candidate.endpoint.path}`);
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("model", candidate.model.id);
  const headers = await parts.upstreams.headersFor(candidate.record, {
    "x-request-id": exchange.id,
    traceparent: toTraceparent(exchange.trace),
  });
  const socket = new (ws().WebSocket)(url, "realtime", {
    headers,
    handshakeTimeout: timeouts.connectMs,
    perMessageDeflate: false,
    followRedirects: false,
  });
  // What the instance says first waits until the client is there to hear it. At once, or it is said before.
  socket.once("open", () => socket.pause());
  const onAbort = () => socket.terminate();
  signal.addEventListener("abort", onAbort, { once: true });
  const refused = Promise.withResolvers<never>();
  socket.on("unexpected-response", (request, response: IncomingMessage) => {
    refused.reject(refusalOf({ status: response.statusCode ?? 0, headers: response.headers }) ?? unwilling(response));
    request.destroy();
  });
  try {
    await Promise.race([once(socket, "open"), refused.promise]);
    return socket;
  } catch (error) {
    socket.on("error", () => {});
    socket.terminate();
    if (signal.aborted) throw clientClosed();
    throw error instanceof AttemptFailure ? error : toFailure(error);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function unwilling({ statusCode }: IncomingMessage): AttemptFailure {
  const error = new NexusError("backend_error", `The service did not open a conversation: status ${statusCode}.`, {
    source: "service",
  });
  return new AttemptFailure("status", error, statusCode);
}

function toFailure(error: unknown): AttemptFailure {
  const { code } = error as NodeJS.ErrnoException;
  return new AttemptFailure(
    code === "ECONNREFUSED" ? "refused" : "reset",
    new NexusError("backend_unreachable", "No conversation with the instance came about.", {
      detail: describeError(error),
      source: "service",
    }),
  );
}
