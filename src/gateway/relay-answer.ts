import { NexusError } from "../base/errors.ts";
import { EventStreamFramer } from "../openai/event-stream-framer.ts";
import { encodeEvent, parseEvents, type StreamEvent } from "../openai/stream-events.ts";
import { streamKindOf } from "../openai/stream-kinds.ts";
import { usageInBody } from "../openai/usage.ts";
import type { Translation } from "../translate/translation.ts";
import type { Way } from "./ask.ts";
import type { ClientAnswer } from "./client-answer.ts";
import type { Exchange } from "./exchange.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** A body up to this size is passed on only when it is whole, so that a broken one becomes a clear error. */
const wholeBodyBytesMax = 8 * 1024 * 1024;
/** A body that is translated has to be held; one above this is none that a model wrote. */
const translatedBodyBytesMax = 64 * 1024 * 1024;

/** Sees an answer as the client gets it. */
export interface AnswerObserver {
  event(event: StreamEvent): void;
  whole(body: Buffer): void;
}

/** Decides which bytes go out because of the backend's: whole events of a stream, or a whole body. */
interface Framing {
  push(chunk: Buffer): Buffer;
  /** Ends the answer, or says in which way the backend left it unfinished. */
  end(): NexusError | undefined;
}

interface Relay {
  readonly exchange: Exchange;
  readonly answer: UpstreamAnswer;
  readonly client: ClientAnswer;
  readonly way: Way;
  readonly observer: AnswerObserver | undefined;
}

const nothing = Buffer.alloc(0);

/**
 * Passes a good answer on to the client, at the speed at which the client reads. One path for streams and bodies, as
 * they are or translated.
 * @throws NexusError when the backend breaks off or stalls; what went out by then was whole events.
 */
export function relayAnswer(relay: Relay): Promise<void> {
  const { answer, client } = relay;
  const framing = chooseFraming(relay);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const resume = () => answer.resume();
  const failWith = (error: unknown) => {
    answer.discard();
    reject(error);
  };
  answer.pipe({
    data(chunk) {
      try {
        return client.write(framing.push(chunk), resume);
      } catch (error) {
        failWith(error);
        return true;
      }
    },
    end() {
      try {
        const failure = framing.end();
        if (failure === undefined) resolve();
        else reject(failure);
      } catch (error) {
        reject(error);
      }
    },
    fail: reject,
  });
  return promise;
}

function chooseFraming(relay: Relay): Framing {
  const { answer, client, way } = relay;
  const contentType = answer.headers["content-type"] ?? "application/json";
  const translation = way.translation();
  if (contentType.startsWith("text/event-stream")) {
    if (translation !== undefined) {
      client.openStream();
      return translatedStream(relay, translation);
    }
    client.openStream(contentType);
    return passedStream(relay);
  }
  if (client.isOpen) {
    answer.discard();
    throw new NexusError("backend_error", "The instance answered a streaming request without a stream.", {
      source: "service",
    });
  }
  if (translation !== undefined) return translatedBody(relay, translation);
  return /^(?:application\/json|text\/)/.test(contentType) ? passedBody(relay, contentType) : media(relay, contentType);
}

function passedStream({ exchange, client, way, observer }: Relay): Framing {
  const kind = streamKindOf(way.operationId);
  const framer = new EventStreamFramer(kind);
  return {
    push(chunk) {
      const events = framer.push(chunk);
      if (observer !== undefined && events.length > 0) parseEvents(events).forEach(observer.event, observer);
      return events;
    },
    end() {
      const { failure, rest, sawDone, sawError } = endOfStream(framer, exchange);
      if (failure !== undefined) return failure;
      // Half an event after the last whole one is dropped; a marker without its final line break is not.
      if (sawDone && rest.length > 0) client.write(Buffer.concat([rest, Buffer.from("\n\n")]), () => {});
      // Some servers end a whole answer without the marker that clients wait for.
      if (kind.endsWithDone && !sawDone && !sawError) client.write(Buffer.from("data: [DONE]\n\n"), () => {});
      client.endStream();
      return undefined;
    },
  };
}

function translatedStream({ exchange, client, way, observer }: Relay, translation: Translation): Framing {
  const framer = new EventStreamFramer(streamKindOf(way.operationId));
  const translator = translation.stream();
  if (translator.fail !== undefined) client.onBreak(translator.fail.bind(translator));
  const encode = (events: readonly StreamEvent[]): Buffer => {
    if (observer !== undefined) events.forEach(observer.event, observer);
    return Buffer.from(events.map((event) => encodeEvent(event, exchange.dialect.framing)).join(""));
  };
  const translate = (bytes: Buffer) => encode(parseEvents(bytes).flatMap((event) => translator.push(event)));
  return {
    push: (chunk) => {
      const events = framer.push(chunk);
      return events.length === 0 ? nothing : translate(events);
    },
    end() {
      const { failure, rest, sawDone } = endOfStream(framer, exchange);
      if (failure !== undefined) return failure;
      if (sawDone && rest.length > 0) client.write(translate(rest), () => {});
      client.write(encode(translator.end()), () => {});
      client.endStream();
      return undefined;
    },
  };
}

/** What every stream's end has to say, translated or not. */
function endOfStream(framer: EventStreamFramer, exchange: Exchange) {
  const ending = framer.end();
  exchange.usage = ending.usage;
  if (ending.sawError) exchange.errorCode = "backend_error";
  const failure =
    ending.isComplete || ending.sawError
      ? undefined
      : new NexusError("backend_disconnected", "The instance ended its answer before it was complete.", {
          source: "service",
        });
  return { ...ending, failure };
}

function passedBody({ exchange, answer, client, observer }: Relay, contentType: string): Framing {
  let held: Buffer[] = [];
  let heldBytes = 0;
  return {
    push(chunk) {
      if (client.isOpen) return chunk;
      held.push(chunk);
      heldBytes += chunk.length;
      if (heldBytes <= wholeBodyBytesMax) return nothing;
      client.openBody(answer.status, { "content-type": contentType });
      const all = Buffer.concat(held);
      held = [];
      return all;
    },
    end() {
      const body = Buffer.concat(held);
      exchange.usage = usageInBody(body);
      if (!client.isOpen) observer?.whole(body);
      client.end(answer.status, { "content-type": contentType }, body);
      return undefined;
    },
  };
}

function translatedBody({ exchange, answer, client, observer }: Relay, translation: Translation): Framing {
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
      exchange.usage = usageInBody(body);
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
function media({ answer, client }: Relay, contentType: string): Framing {
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
