import type { BodySink, ClientRequest } from "./client-io.ts";

export interface OwnRequestOptions {
  readonly method: string;
  readonly target: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Id of the key in whose name it is. */
  readonly onBehalfOf: string;
}

/** A request that the gateway makes of itself: served like a client's in everything, without a connection between. */
export class OwnRequest implements ClientRequest {
  readonly method: string;
  readonly target: string;
  readonly rawHeaders: readonly string[];
  readonly remoteAddress = "";
  readonly hasBody: boolean;
  readonly onBehalfOf: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #body: Buffer;

  constructor({ method, target, headers, body, onBehalfOf }: OwnRequestOptions) {
    this.method = method;
    this.target = target;
    this.rawHeaders = Object.entries(headers).flat();
    this.hasBody = body.length > 0;
    this.onBehalfOf = onBehalfOf;
    this.#headers = headers;
    this.#body = body;
  }

  header(name: string): string | undefined {
    return this.#headers[name];
  }

  receiveBody(sink: BodySink): void {
    if (this.#body.length > 0) sink.data(this.#body);
    sink.end();
  }

  resumeBody(): void {}
}
