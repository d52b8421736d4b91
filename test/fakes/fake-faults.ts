import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";
import type { FakeAnswer } from "./fake-surface.ts";

/** What may go wrong with a generation. All are off by default. */
export interface FakeFaults {
  /** The fault hits this many generations, then all is well. Default: every one. */
  readonly times?: number;
  /** The connection is reset as soon as the request was read. */
  readonly resetBeforeHeaders?: boolean;
  /** Answers this instead: an overloaded or broken server. */
  readonly status?: FakeAnswer & { readonly status: number };
  /** Pause before the first byte of the body, and of the headers too unless `headersFirst`. */
  readonly delayFirstByteMs?: number;
  /** Waits for this before the first byte, after the pause: what shall be under way until a test lets it go. */
  readonly heldUntil?: Promise<unknown>;
  /** Sends the headers before the pause, as servers do that begin a stream before they compute. */
  readonly headersFirst?: boolean;
  /** Pause between the pieces of a stream. */
  readonly chunkDelayMs?: number;
  /** Sends this many pieces, then nothing, on an open connection. */
  readonly stallAfterChunks?: number;
  /** Sends this many pieces, then ends without `[DONE]`. */
  readonly truncateAfterChunks?: number;
  /** How a truncated answer ends: with a well-formed end (default for events) or a reset connection. */
  readonly truncateWith?: "end" | "reset";
  /** Cuts the body in two writes at this byte. */
  readonly splitAt?: number;
  /** Cuts the body into writes of this many bytes. */
  readonly splitEvery?: number;
}

/** A body in the pieces that a server would write: one event each, or the one document. */
export interface FakePieces {
  readonly isStream: boolean;
  /** A stream of bytes that nothing in them ends: cut off in good order it would look whole. */
  readonly isMedia?: true;
  readonly headers: Readonly<Record<string, string>>;
  readonly pieces: readonly (string | Buffer)[];
}

/** The other end of a request. */
export interface FakeClient {
  /** Aborts when it is gone. */
  readonly gone: AbortSignal;
  /** Resets its connection. */
  reset(): void;
}

/** Writes a generation as the faults have it. Ends early, without an error, when the client is gone. */
export async function writeFaulty(
  response: ServerResponse,
  content: FakePieces,
  faults: FakeFaults,
  client: FakeClient,
): Promise<void> {
  const { gone } = client;
  const made = content.pieces.map((piece) => Buffer.from(piece));
  const pieces = content.isStream ? made : halves(Buffer.concat(made));
  const wholeBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  response.writeHead(200, content.isStream ? content.headers : { ...content.headers, "content-length": wholeBytes });
  if (faults.headersFirst === true) {
    response.flushHeaders();
    await waitForFirstByte(faults, gone);
  }
  const cuts = cutter(faults);
  // An answer at once comes in two halves, so it breaks off after the first one at the latest.
  const breaksAt = (chunks: number | undefined) =>
    content.isStream || chunks === undefined ? chunks : Math.min(chunks, 1);
  for (const [index, piece] of pieces.entries()) {
    if (breaksAt(faults.truncateAfterChunks) === index) {
      // An answer with a length cannot end early in good order: it is always reset.
      const ending = faults.truncateWith ?? (content.isMedia ? "reset" : "end");
      if (content.isStream && ending === "end") response.end();
      else client.reset();
      return;
    }
    if (breaksAt(faults.stallAfterChunks) === index) return stall(response, gone);
    if (index > 0) await pauseUnlessGone(faults.chunkDelayMs, gone);
    for (const part of cuts(piece)) await write(response, part, gone);
    if (gone.aborted) return;
  }
  response.end();
}

/** The pause before the first byte; not longer than the client waits. */
export async function waitForFirstByte({ delayFirstByteMs, heldUntil }: FakeFaults, gone: AbortSignal): Promise<void> {
  await pauseUnlessGone(delayFirstByteMs, gone);
  if (heldUntil !== undefined && !gone.aborted) await Promise.race([heldUntil, once(gone, "abort")]);
}

/** Waits, but not longer than the client does. */
export async function pauseUnlessGone(delayMs: number | undefined, gone: AbortSignal): Promise<void> {
  if (delayMs === undefined || gone.aborted) return;
  await pause(delayMs, undefined, { signal: gone }).catch(() => {});
}

function halves(whole: Buffer): readonly Buffer[] {
  const middle = Math.ceil(whole.length / 2);
  return [whole.subarray(0, middle), whole.subarray(middle)];
}

/** Cuts successive pieces at byte positions of the whole body. */
function cutter(faults: FakeFaults): (piece: Buffer) => readonly Buffer[] {
  let offset = 0;
  return (piece) => {
    const start = offset;
    offset += piece.length;
    const isCut = (at: number) =>
      at === faults.splitAt || (faults.splitEvery !== undefined && at % faults.splitEvery === 0);
    const parts: Buffer[] = [];
    let from = 0;
    for (let to = 1; to < piece.length; to++) {
      if (!isCut(start + to)) continue;
      parts.push(piece.subarray(from, to));
      from = to;
    }
    parts.push(piece.subarray(from));
    return parts;
  };
}

/** One write that the other side can read before the next: the event loop turns once in between. */
async function write(response: ServerResponse, part: Buffer, gone: AbortSignal): Promise<void> {
  if (gone.aborted || part.length === 0) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      gone.removeEventListener("abort", done);
      resolve();
    };
    gone.addEventListener("abort", done);
    response.write(part, done);
  });
  await nextTurn();
  await nextTurn();
}

async function stall(response: ServerResponse, gone: AbortSignal): Promise<void> {
  response.flushHeaders();
  if (gone.aborted) return;
  await new Promise<void>((resolve) => gone.addEventListener("abort", () => resolve(), { once: true }));
}
