import { NexusError } from "../base/errors.ts";
import { toTraceparent } from "../base/ids.ts";
import { AttemptFailure } from "../resilience/attempt-failure.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { readBody } from "./read-body.ts";
import type { UpstreamRequest } from "./upstream.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** Control requests are small: records, attachments, names. */
const controlBodyBytesMax = 2 * 1024 * 1024;

/** Passes `/v1/nexus/*` on to the control process, as it is: status, type and body. */
export async function relayControl(exchange: Exchange, parts: GatewayParts, path: string): Promise<void> {
  if (parts.control === undefined) {
    throw new NexusError("unknown_url", "This gateway runs alone: there is no control process behind it.");
  }
  const { request } = exchange;
  const body = request.hasBody ? await readBody(exchange, controlBodyBytesMax) : null;
  const query = request.target.indexOf("?");
  const answer = await sendControl(parts.control, {
    method: request.method as UpstreamRequest["method"],
    path: query === -1 ? path : path + request.target.slice(query),
    headers: {
      ...(body === null ? {} : { "content-type": "application/json" }),
      // Tells the control process that this did not come over its own socket.
      "x-nexus-relayed": exchange.caller?.keyId ?? "",
      "x-request-id": exchange.id,
      traceparent: toTraceparent(exchange.trace),
    },
    body,
    signal: exchange.signal,
  });
  await pass(exchange, answer);
}

async function sendControl(
  control: NonNullable<GatewayParts["control"]>,
  request: UpstreamRequest,
): Promise<UpstreamAnswer> {
  try {
    return await control(request);
  } catch (error) {
    if (!(error instanceof AttemptFailure)) throw error;
    throw new NexusError(
      "not_ready",
      "The control process is away; requests to models go on. `nexus up` starts it again.",
      {
        cause: error,
        retryAfterSeconds: 2,
      },
    );
  }
}

function pass(exchange: Exchange, answer: UpstreamAnswer): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const { reply } = exchange;
  reply.writeHead(answer.status, { "content-type": answer.headers["content-type"] ?? "application/json" });
  answer.pipe({
    data(chunk) {
      exchange.bytesOut += chunk.length;
      const wantsMore = reply.write(chunk);
      if (!wantsMore) reply.onDrain(() => answer.resume());
      return wantsMore;
    },
    end() {
      reply.end();
      resolve();
    },
    fail(error) {
      reply.destroy();
      reject(error);
    },
  });
  return promise;
}
