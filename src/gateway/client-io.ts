import type { OutgoingHttpHeader } from "node:http";
import type { WebSocket } from "ws";

/** Takes a request's body as it arrives. */
export interface BodySink {
  /** Returns false to be spared until `resumeBody` is called on the request. */
  data(chunk: Buffer): boolean;
  end(): void;
  /** The rest will not come: the client left. */
  fail(): void;
}

/** The way out of HTTP. */
export interface ClientUpgrade {
  /**
   * Takes the connection over and speaks WebSocket on it. The exchange ends with it.
   * @throws NexusError `invalid_request` when the client's handshake is none.
   */
  accept(): Promise<WebSocket>;
  /** The conversation has come to its proper end. */
  endedWell(): void;
}

/** One request as the client sent it, whichever server read it. Its head was checked: see `check-head.ts`. */
export interface ClientRequest {
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  /** Name and value in turns, as sent. */
  readonly rawHeaders: readonly string[];
  /** Address of the other end of the connection; empty once it is gone. */
  readonly remoteAddress: string;
  /** Id of the key in whose name the gateway asks itself; absent in whatever comes over a connection. */
  readonly onBehalfOf?: string;
  /** The value of a header; undefined when it is absent. `name` in lower case. */
  header(name: string): string | undefined;
  /** Whether the head announces a body. */
  readonly hasBody: boolean;
  /** Present when the client asks to leave HTTP for a WebSocket. */
  readonly upgrade?: ClientUpgrade;
  /** Hands the body over, once, from its first byte; a client that waits to be asked for it is asked now. */
  receiveBody(sink: BodySink): void;
  /** Goes on after the sink asked for a pause. */
  resumeBody(): void;
}

/** The way back to the client. */
export interface ClientReply {
  /** Of the head that was sent, or will be. */
  readonly status: number;
  readonly headersSent: boolean;
  /** Sets a header of the head that is yet to be written. */
  setHeader(name: string, value: OutgoingHttpHeader): void;
  /** Writes the head. Without a `content-length` among the headers, the body's end is marked by its framing. */
  writeHead(status: number, headers?: Readonly<Record<string, OutgoingHttpHeader>>): void;
  /** Returns false when the client reads too slowly; see `onDrain`. */
  write(chunk: Buffer | string): boolean;
  /** Calls `run` once, when the client has caught up. */
  onDrain(run: () => void): void;
  end(chunk?: Buffer | string): void;
  /** Cuts the connection. Half an answer is never taken for a whole one. */
  destroy(): void;
  /** Calls `run` once, when the answer was handed to the system whole (`finished`), or will never be. */
  onClose(run: (finished: boolean) => void): void;
}
