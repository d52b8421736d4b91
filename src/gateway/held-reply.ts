import type { OutgoingHttpHeader } from "node:http";
import type { ClientReply } from "./client-io.ts";

/** A reply whose next steps wait while something must be done before the client may see them. Their order stays. */
export class HeldReply implements ClientReply {
  readonly #reply: ClientReply;
  #steps: (() => void)[] | undefined;
  #hasHead = false;

  constructor(reply: ClientReply) {
    this.#reply = reply;
  }

  /** What is written from now on goes out when `done` settles. */
  holdUntil(done: Promise<void>): void {
    this.#steps ??= [];
    const release = () => {
      const steps = this.#steps ?? [];
      this.#steps = undefined;
      for (const step of steps) step();
    };
    void done.then(release, release);
  }

  get status(): number {
    return this.#reply.status;
  }

  get headersSent(): boolean {
    return this.#hasHead || this.#reply.headersSent;
  }

  setHeader(name: string, value: OutgoingHttpHeader): void {
    this.#reply.setHeader(name, value);
  }

  writeHead(status: number, headers: Readonly<Record<string, OutgoingHttpHeader>> = {}): void {
    this.#hasHead = true;
    this.#step(() => this.#reply.writeHead(status, headers));
  }

  write(chunk: Buffer | string): boolean {
    if (this.#steps === undefined) return this.#reply.write(chunk);
    this.#steps.push(() => void this.#reply.write(chunk));
    return false;
  }

  onDrain(run: () => void): void {
    // Whoever is told to pause while the reply is held goes on when it is released.
    if (this.#steps === undefined) this.#reply.onDrain(run);
    else this.#steps.push(run);
  }

  end(chunk?: Buffer | string): void {
    this.#step(() => this.#reply.end(chunk));
  }

  destroy(): void {
    this.#steps = undefined;
    this.#reply.destroy();
  }

  onClose(run: (finished: boolean) => void): void {
    this.#reply.onClose(run);
  }

  #step(step: () => void): void {
    if (this.#steps === undefined) step();
    else this.#steps.push(step);
  }
}
