import type { IncomingMessage, OutgoingHttpHeader, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { http } from "../../base/node-http.ts";
import type { ClientReply } from "../client-io.ts";
import { NodeReply } from "../node-client.ts";

/** Clients wait for the answer before they speak; what is sent sooner fits into a few packets. */
const earlyBytesMax = 64 * 1024;

/**
 * The way back to a client that asks to leave HTTP: an ordinary answer when it is refused, else the connection itself.
 */
export class UpgradeReply implements ClientReply {
  readonly #socket: Duplex;
  readonly #response: ServerResponse;
  readonly #reply: NodeReply;
  #taken: "no" | "open" | "ended" = "no";
  /** What came before anybody was there to hear it. */
  #early: Buffer;
  readonly #onData = (chunk: Buffer) => {
    this.#early = Buffer.concat([this.#early, chunk]);
    if (this.#early.length > earlyBytesMax) this.#socket.destroy();
  };
  readonly #onEnd = () => void this.#socket.destroy();

  /** `head`: what came right behind the request. */
  constructor(request: IncomingMessage, socket: Duplex, head: Buffer) {
    this.#socket = socket;
    this.#early = head;
    // Only who reads hears that the other side has left, which it may do while its request waits for a slot.
    socket.on("data", this.#onData).on("end", this.#onEnd);
    this.#response = new (http().ServerResponse)(request);
    this.#reply = new NodeReply(this.#response);
    this.#response.setHeader("connection", "close");
    // Node hands the connection over as a Duplex; it is the socket that the request came on.
    this.#response.assignSocket(request.socket);
    this.#response.on("finish", () => socket.end());
    socket.on("error", () => socket.destroy());
  }

  get status(): number {
    return this.#taken === "no" ? this.#reply.status : 101;
  }

  get headersSent(): boolean {
    return this.#taken !== "no" || this.#reply.headersSent;
  }

  /** From now on somebody else speaks on the connection, and listens at once. Answers what came before. */
  takeOver(): Buffer {
    this.#taken = "open";
    this.#socket.off("data", this.#onData).off("end", this.#onEnd);
    return this.#early;
  }

  /** What was spoken came to its proper end. */
  endedWell(): void {
    this.#taken = "ended";
  }

  setHeader(name: string, value: OutgoingHttpHeader): void {
    this.#reply.setHeader(name, value);
  }

  writeHead(status: number, headers?: Readonly<Record<string, OutgoingHttpHeader>>): void {
    this.#reply.writeHead(status, headers);
  }

  write(chunk: Buffer | string): boolean {
    return this.#reply.write(chunk);
  }

  onDrain(run: () => void): void {
    this.#reply.onDrain(run);
  }

  end(chunk?: Buffer | string): void {
    this.#reply.end(chunk);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  onClose(run: (finished: boolean) => void): void {
    // A turn later: whoever spoke on the connection hears of its end at the same moment, and says whether it was proper.
    this.#socket.once("close", () =>
      setImmediate(() => run(this.#taken === "ended" || this.#response.writableFinished)),
    );
  }
}
