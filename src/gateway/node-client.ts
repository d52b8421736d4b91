import type { IncomingMessage, OutgoingHttpHeader, ServerResponse } from "node:http";
import type { BodySink, ClientReply, ClientRequest, ClientUpgrade } from "./client-io.ts";
import { readingMs } from "./http/limits.ts";

/** A request that Node's own server read. */
export class NodeRequest implements ClientRequest {
  readonly method: string;
  readonly target: string;
  readonly rawHeaders: readonly string[];
  readonly remoteAddress: string;
  readonly #message: IncomingMessage;
  readonly upgrade?: ClientUpgrade;
  readonly #response: ServerResponse | undefined;

  /** `response` is what asks for a body that waits to be asked for; a request to leave HTTP has none. */
  constructor(message: IncomingMessage, response: ServerResponse | undefined, upgrade?: ClientUpgrade) {
    this.#message = message;
    this.#response = response;
    if (upgrade !== undefined) this.upgrade = upgrade;
    this.method = message.method ?? "";
    this.target = message.url ?? "";
    this.rawHeaders = message.rawHeaders;
    this.remoteAddress = message.socket.remoteAddress ?? "";
  }

  header(name: string): string | undefined {
    const value = this.#message.headers[name];
    return typeof value === "string" ? value : undefined;
  }

  get hasBody(): boolean {
    const length = this.header("content-length");
    return (length !== undefined && length !== "0") || this.header("transfer-encoding") !== undefined;
  }

  receiveBody(sink: BodySink): void {
    const message = this.#message;
    if (this.header("expect") !== undefined) this.#response?.writeContinue();
    let over = false;
    message.on("data", (chunk: Buffer) => {
      if (!sink.data(chunk)) message.pause();
    });
    message.once("end", () => {
      over = true;
      sink.end();
    });
    message.once("close", () => {
      if (!over) sink.fail();
    });
    message.on("error", () => {});
  }

  resumeBody(): void {
    this.#message.resume();
  }
}

/** An answer that goes out through Node's own server. */
export class NodeReply implements ClientReply {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  get status(): number {
    return this.#response.statusCode;
  }

  get headersSent(): boolean {
    return this.#response.headersSent;
  }

  setHeader(name: string, value: OutgoingHttpHeader): void {
    this.#response.setHeader(name, value);
  }

  writeHead(status: number, headers: Readonly<Record<string, OutgoingHttpHeader>> = {}): void {
    this.#response.writeHead(status, headers);
  }

  write(chunk: Buffer | string): boolean {
    return this.#response.write(chunk);
  }

  onDrain(run: () => void): void {
    this.#response.once("drain", run);
  }

  end(chunk?: Buffer | string): void {
    this.#response.setTimeout(readingMs, () => this.#response.destroy());
    this.#response.end(chunk);
  }

  destroy(): void {
    this.#response.destroy();
  }

  onClose(run: (finished: boolean) => void): void {
    this.#response.once("close", () => run(this.#response.writableFinished));
  }
}
