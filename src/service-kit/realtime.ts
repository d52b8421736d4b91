import type { IncomingHttpHeaders } from "node:http";
import type { NexusError } from "../base/errors.ts";
import type { TraceContext } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";

/** One message of a conversation: an event of OpenAI's Realtime API. */
export interface RealtimeEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** The open WebSocket of a conversation. The kit bounds its messages, pings its client and closes it. */
export interface RealtimeSocket {
  /**
   * What the client says, in its order; what is no event is refused by the kit. A slow reader slows the client down. Ends
   * when the conversation is over, and when the service drains: what is being answered may then be said to its end.
   * For one reader, once.
   */
  readonly events: AsyncIterable<RealtimeEvent>;
  /**
   * Says something; the kit adds the `event_id`. Whoever waits for it goes at the listener's pace.
   * @throws NexusError the signal's reason once nobody listens any more.
   */
  send(event: RealtimeEvent): Promise<void>;
  /** Answers an event with an `error` event and lets the conversation go on. */
  refuse(event: RealtimeEvent, error: NexusError): Promise<void>;
  /**
   * Lets work go on beside the reading, such as an answer that the client may cancel: the conversation is not over
   * before it, and its failure is the handler's.
   */
  waitUntil(work: Promise<unknown>): void;
}

/** One conversation as its handler sees it: admitted, its model checked, its WebSocket open. */
export interface RealtimeRequest {
  readonly socket: RealtimeSocket;
  /** Id of the model, as `models()` has it. */
  readonly model: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Aborts when the client closes or is lost, and when the time to drain is over. Whoever works long must obey it. */
  readonly signal: AbortSignal;
  readonly requestId: string;
  readonly trace: TraceContext;
  /** Puts the request's id on every line. Never log what is said. */
  readonly log: Logger;
}

/**
 * Holds one conversation. Its return closes the WebSocket with 1000, or with 1001 when the service drains. Anything thrown
 * becomes an `error` event, as the error of a request would be answered, and closes it with 1011.
 */
export type RealtimeHandler = (request: RealtimeRequest) => Promise<void>;
