import { NexusError } from "../base/errors.ts";
import { AnswerSoFar, ContinuationFilter } from "../openai/continue-stream.ts";
import { withoutUsage } from "../openai/count-stream.ts";
import { EventStreamFramer } from "../openai/event-stream-framer.ts";
import { encodeEvent, parseEvents, type StreamEvent } from "../openai/stream-events.ts";
import { streamKindOf } from "../openai/stream-kinds.ts";
import { mergeUsage } from "../openai/usage.ts";
import type { StreamTranslator } from "../translate/translation.ts";
import { isCounting, type Way } from "./ask.ts";
import type { ClientAnswer } from "./client-answer.ts";
import { usageOfStream } from "./estimate-usage.ts";
import type { Exchange } from "./exchange.ts";
import { type AnswerObserver, pipeAnswer } from "./pipe-answer.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

const nothing = Buffer.alloc(0);

export interface StreamRelayOptions {
  readonly exchange: Exchange;
  readonly client: ClientAnswer;
  readonly way: Way;
  readonly observer: AnswerObserver | undefined;
  /** Of the request, for the tokens that a service does not count. */
  readonly promptBytes: number;
  /** Whether what goes out is kept, so that another instance can go on with it. */
  readonly mayContinue: boolean;
}

/**
 * One stream of events to a client, as it is or translated. It may come from one instance after the other: the client
 * sees one stream.
 */
export class StreamRelay {
  readonly #options: StreamRelayOptions;
  readonly #translator: StreamTranslator | undefined;
  /** What the client has, while it can be continued. */
  readonly soFar: AnswerSoFar | undefined;
  #legs = 0;
  /** Of the present leg, until it is counted. */
  #uncounted: EventStreamFramer | undefined;
  /** Events of the legs before. */
  #eventsBefore = 0;

  constructor(options: StreamRelayOptions, contentType: string) {
    this.#options = options;
    const { exchange, way, client, mayContinue } = options;
    this.#translator = way.translation()?.stream();
    if (this.#translator?.fail !== undefined) client.onBreak(this.#translator.fail.bind(this.#translator));
    this.soFar = mayContinue && way.operationId === "chat.completions.create" ? new AnswerSoFar() : undefined;
    if (this.#translator === undefined) client.openStream(contentType);
    else client.openStream();
    // Who leaves in the middle has used what was made for them by then.
    exchange.onEnd(() => this.#count());
  }

  /**
   * Passes an instance's stream on, at the speed at which the client reads; from the second one on, as the rest of the
   * first.
   * @throws NexusError when the instance breaks off or stalls; what went out by then was whole events.
   */
  pass(answer: UpstreamAnswer): Promise<void> {
    const { client, way } = this.#options;
    this.#eventsBefore += this.#uncounted?.tally.events ?? 0;
    const framer = new EventStreamFramer(streamKindOf(way.operationId));
    this.#uncounted = framer;
    const filter = this.#legs++ > 0 && this.soFar !== undefined ? new ContinuationFilter(this.soFar) : undefined;
    const toClient = (whole: Buffer): Buffer => {
      const events = filter === undefined || whole.length === 0 ? whole : filter.push(whole);
      if (events.length === 0) return nothing;
      this.soFar?.push(events);
      return this.#toClient(events);
    };
    return pipeAnswer(answer, client, {
      push: (chunk) => toClient(framer.push(chunk)),
      end: () => this.#end(framer, toClient),
    });
  }

  #toClient(events: Buffer): Buffer {
    const { observer } = this.#options;
    if (this.#translator !== undefined) {
      return this.#encode(parseEvents(events).flatMap((event) => this.#translator?.push(event) ?? []));
    }
    const shown = isCounting(this.#options.way) ? withoutUsage(events) : events;
    if (observer !== undefined) parseEvents(shown).forEach(observer.event, observer);
    return shown;
  }

  #encode(events: readonly StreamEvent[]): Buffer {
    const { observer, exchange } = this.#options;
    if (observer !== undefined) events.forEach(observer.event, observer);
    return Buffer.from(events.map((event) => encodeEvent(event, exchange.dialect.framing)).join(""));
  }

  #end(framer: EventStreamFramer, toClient: (whole: Buffer) => Buffer): NexusError | undefined {
    const { exchange, client, way } = this.#options;
    const { rest, sawDone, sawError, isComplete } = framer.end();
    this.#count();
    if (sawError) exchange.errorCode = "backend_error";
    client.write(toClient(rest), () => {});
    if (!isComplete && !sawError) {
      return new NexusError("backend_disconnected", "The instance ended its answer before it was complete.", {
        source: "service",
      });
    }
    if (this.#translator !== undefined) client.write(this.#encode(this.#translator.end()), () => {});
    // Some servers end a whole answer without the marker that clients wait for.
    else if (streamKindOf(way.operationId).endsWithDone && !sawDone && !sawError) {
      client.write(Buffer.from("data: [DONE]\n\n"), () => {});
    }
    client.endStream();
    return undefined;
  }

  /** Counts what was made, once. */
  #count(): void {
    if (this.#uncounted === undefined) return;
    const { exchange, promptBytes } = this.#options;
    const { usage, events } = this.#uncounted.tally;
    this.#uncounted = undefined;
    // The service that goes on with an answer is told what there is of it, and counts that with the prompt.
    exchange.usage = usage ?? mergeUsage(exchange.usage, usageOfStream(promptBytes, this.#eventsBefore + events));
    if (usage === undefined && events > 0) exchange.notes.push("tokens are estimated: the service did not count them");
  }
}
