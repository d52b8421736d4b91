import type { OutgoingHttpHeader } from "node:http";
import type { ClientReply } from "./client-io.ts";

/** A whole answer, as a client would have got it. */
export interface CollectedAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, OutgoingHttpHeader>;
  readonly body: Buffer;
}

/** Collects an answer in memory instead of sending it: for what the gateway asks itself. */
export class CollectedReply implements ClientReply {
  readonly #bytesMax: number;
  readonly #headers = new Map<string, OutgoingHttpHeader>();
  readonly #chunks: Buffer[] = [];
  readonly #closings: ((finished: boolean) => void)[] = [];
  readonly #outcome = Promise.withResolvers<CollectedAnswer | undefined>();
  #bytes = 0;
  #isOver = false;
  #status = 200;
  #hasHead = false;

  /** An answer of more than `bytesMax` is cut, as a client would cut it. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The answer, or undefined when it was cut. */
  get answer(): Promise<CollectedAnswer | undefined> {
    return this.#outcome.promise;
  }

  get status(): number {
    return this.#status;
  }

  get headersSent(): boolean {
    return this.#hasHead;
  }

  setHeader(name: string, value: OutgoingHttpHeader): void {
    this.#headers.set(name.toLowerCase(), value);
  }

  writeHead(status: number, headers: Readonly<Record<string, OutgoingHttpHeader>> = {}): void {
    this.#hasHead = true;
    this.#status = status;
    for (const [name, value] of Object.entries(headers)) this.setHeader(name, value);
  }

  write(chunk: Buffer | string): boolean {
    this.#hasHead = true;
    if (this.#isOver) return true;
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    this.#bytes += bytes.length;
    if (this.#bytes > this.#bytesMax) this.destroy();
    else this.#chunks.push(bytes);
    return true;
  }

  onDrain(run: () => void): void {
    run();
  }

  end(chunk?: Buffer | string): void {
    if (chunk !== undefined) this.write(chunk);
    this.#close({ status: this.#status, headers: this.#headers, body: Buffer.concat(this.#chunks) });
  }

  /** Ends it as a client does that leaves. */
  destroy(): void {
    this.#close(undefined);
  }

  onClose(run: (finished: boolean) => void): void {
    this.#closings.push(run);
  }

  #close(answer: CollectedAnswer | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#outcome.resolve(answer);
    // Not at once: whoever wrote the end may still have to say how it went.
    queueMicrotask(() => {
      for (const run of this.#closings) run(answer !== undefined);
    });
  }
}
