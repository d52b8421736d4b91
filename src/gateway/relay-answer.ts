import { NexusError } from "../base/errors.ts";
import { EventStreamFramer } from "../openai/event-stream-framer.ts";
import { streamKindOf } from "../openai/stream-kinds.ts";
import { usageInBody } from "../openai/usage.ts";
import type { ClientAnswer } from "./client-answer.ts";
import type { Exchange } from "./exchange.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** A body up to this size is passed on only when it is whole, so that a broken one becomes a clear error. */
const wholeBodyBytesMax = 8 * 1024 * 1024;

/** Decides which of the backend's bytes can go out: whole events of a stream, or a whole body. */
interface Framing {
  push(chunk: Buffer): Buffer;
  /** Ends the answer, or says in which way the backend left it unfinished. */
  end(): NexusError | undefined;
}

/**
 * Passes a good answer on to the client, at the speed at which the client reads. One path for streams and bodies.
 * @throws NexusError when the backend breaks off or stalls; what went out by then was whole events.
 */
export function relayAnswer(exchange: Exchange, answer: UpstreamAnswer, client: ClientAnswer): Promise<void> {
  const contentType = answer.headers["content-type"] ?? "application/json";
  const isStream = contentType.startsWith("text/event-stream");
  if (client.isOpen && !isStream) {
    answer.discard();
    throw new NexusError("backend_error", "The instance answered a streaming request without a stream.", {
      source: "service",
    });
  }
  if (isStream) client.openStream(contentType);
  const framing = isStream ? streamFraming(exchange, client) : bodyFraming(exchange, answer, client);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const resume = () => answer.resume();
  answer.pipe({
    data: (chunk) => client.write(framing.push(chunk), resume),
    end: () => {
      const failure = framing.end();
      if (failure === undefined) resolve();
      else reject(failure);
    },
    fail: reject,
  });
  return promise;
}

function streamFraming(exchange: Exchange, client: ClientAnswer): Framing {
  const framer = new EventStreamFramer(streamKindOf("chat.completions.create"));
  return {
    push: (chunk) => framer.push(chunk),
    end() {
      const { rest, sawDone, isComplete, sawError, usage } = framer.end();
      exchange.usage = usage;
      if (sawError) exchange.errorCode = "backend_error";
      if (!isComplete && !sawError) {
        return new NexusError("backend_disconnected", "The instance ended its answer before it was complete.", {
          source: "service",
        });
      }
      // Half an event after the last whole one is dropped; a marker without its final line break is not.
      if (sawDone && rest.length > 0) client.write(Buffer.concat([rest, Buffer.from("\n\n")]), () => {});
      // Some servers end a whole answer without the marker that clients wait for.
      if (!sawDone && !sawError) client.write(Buffer.from("data: [DONE]\n\n"), () => {});
      client.endStream();
      return undefined;
    },
  };
}

function bodyFraming(exchange: Exchange, answer: UpstreamAnswer, client: ClientAnswer): Framing {
  const contentType = answer.headers["content-type"] ?? "application/json";
  let held: Buffer[] = [];
  let heldBytes = 0;
  return {
    push(chunk) {
      if (client.isOpen) return chunk;
      held.push(chunk);
      heldBytes += chunk.length;
      if (heldBytes <= wholeBodyBytesMax) return Buffer.alloc(0);
      client.openBody(answer.status, contentType);
      const all = Buffer.concat(held);
      held = [];
      return all;
    },
    end() {
      const body = Buffer.concat(held);
      exchange.usage = usageInBody(body);
      client.end(answer.status, contentType, body);
      return undefined;
    },
  };
}
