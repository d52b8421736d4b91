import { NexusError } from "../base/errors.ts";
import { usageInBody } from "../openai/usage.ts";
import type { Translation } from "../translate/translation.ts";
import type { Ask, Way } from "./ask.ts";
import type { ClientAnswer } from "./client-answer.ts";
import { usageOfBody } from "./estimate-usage.ts";
import type { Exchange } from "./exchange.ts";
import { type AnswerFraming, type AnswerObserver, pipeAnswer } from "./pipe-answer.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** A body up to this size is passed on only when it is whole, so that a broken one becomes a clear error. */
const wholeBodyBytesMax = 8 * 1024 * 1024;
/** A body that is translated has to be held; one above this is none that a model wrote. */
const translatedBodyBytesMax = 64 * 1024 * 1024;

interface Relay {
  readonly exchange: Exchange;
  readonly answer: UpstreamAnswer;
  readonly client: ClientAnswer;
  readonly way: Way;
  readonly observer: AnswerObserver | undefined;
  readonly ask: Ask;
}

/** Of a body that is not held: servers say at its end what it cost. */
const tailBytes = 4_096;

const nothing = Buffer.alloc(0);

/**
 * Passes a good answer that is no stream of events on to the client, as it is or translated.
 * @throws NexusError when the backend breaks off or stalls.
 */
export function relayBody(relay: Relay, contentType: string): Promise<void> {
  const { answer, client, way } = relay;
  if (client.isOpen) {
    answer.discard();
    throw new NexusError("backend_error", "The instance answered a streaming request without a stream.", {
      source: "service",
    });
  }
  const translation = way.translation();
  return pipeAnswer(answer, client, chooseFraming(relay, contentType, translation));
}

function chooseFraming(relay: Relay, contentType: string, translation: Translation | undefined): AnswerFraming {
  if (translation !== undefined) return translatedBody(relay, translation);
  return /^(?:application\/json|text\/)/.test(contentType) ? passedBody(relay, contentType) : media(relay, contentType);
}

function passedBody({ exchange, answer, client, observer, ask }: Relay, contentType: string): AnswerFraming {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let tail: Buffer = nothing;
  return {
    push(chunk) {
      if (client.isOpen) {
        tail = endOf(tail, chunk);
        return chunk;
      }
      held.push(chunk);
      heldBytes += chunk.length;
      if (heldBytes <= wholeBodyBytesMax) return nothing;
      client.openBody(answer.status, { "content-type": contentType });
      const all = Buffer.concat(held);
      held = [];
      tail = endOf(nothing, all);
      return all;
    },
    end() {
      const [first = nothing] = held;
      const body = held.length > 1 ? Buffer.concat(held) : first;
      exchange.usage = usageInBody(client.isOpen ? tail : body) ?? usageOfBody(ask, heldBytes);
      if (!client.isOpen) observer?.whole(body);
      client.end(answer.status, { "content-type": contentType }, body);
      return undefined;
    },
  };
}

function endOf(tail: Buffer, chunk: Buffer): Buffer {
  const all = chunk.length >= tailBytes ? chunk : Buffer.concat([tail, chunk]);
  return all.subarray(Math.max(0, all.length - tailBytes));
}

function translatedBody({ exchange, answer, client, observer, ask }: Relay, translation: Translation): AnswerFraming {
  const held: Buffer[] = [];
  let heldBytes = 0;
  return {
    push(chunk) {
      heldBytes += chunk.length;
      if (heldBytes > translatedBodyBytesMax) {
        throw new NexusError("backend_error", "The instance's answer is too large.", { source: "service" });
      }
      held.push(chunk);
      return nothing;
    },
    end() {
      const body = Buffer.concat(held);
      exchange.usage = usageInBody(body) ?? usageOfBody(ask, heldBytes);
      const translated = translation.whole(body);
      observer?.whole(translated);
      client.end(answer.status, { "content-type": "application/json" }, translated);
      return undefined;
    },
  };
}

/** Headers of a download that mean something to who saves it. */
const mediaHeaders = ["content-length", "content-disposition", "content-range", "accept-ranges"] as const;

/** Sound, pictures and films go out as they are made. One that breaks off is cut, so that nobody takes it for whole. */
function media({ answer, client }: Relay, contentType: string): AnswerFraming {
  const headers: Record<string, string> = { "content-type": contentType };
  for (const name of mediaHeaders) {
    const value = answer.headers[name];
    if (typeof value === "string") headers[name] = value;
  }
  client.openBody(answer.status, headers);
  return {
    push: (chunk) => chunk,
    end() {
      client.endStream();
      return undefined;
    },
  };
}
