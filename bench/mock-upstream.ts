import { createServer, type Socket } from "node:net";
import { chatAnswer, chunksPerStream, pacedMarker, pauseMs, streamEvent, streamMarker } from "./wire.ts";

/**
 * The model server behind every gateway: `node bench/mock-upstream.ts`. Prints its port. It reads no more of a request
 * than its length and whether it is a stream, and answers the same bytes to everybody: it must never be what is slow.
 */
const json = (body: string) =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const streamHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const streamEnd = `${chunk("data: [DONE]\n\n")}0\r\n\r\n`;

const answer = Buffer.from(json(chatAnswer));
const models = Buffer.from(
  json('{"object":"list","data":[{"id":"bench-model","object":"model","created":1700000000,"owned_by":"bench"}]}'),
);
const events = Array.from({ length: chunksPerStream }, () => chunk(streamEvent(0)));
const wholeStream = Buffer.from(streamHead + events.join("") + streamEnd);

/** Larger bodies are prompts, never streams: nobody has to search them. */
const searchedBytesMax = 16_384;
const headEnd = Buffer.from("\r\n\r\n");
const lastChunk = Buffer.from("\r\n0\r\n\r\n");

function nowMicroseconds(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

/** Sends a stream as a model would: an event, a pause, the next event. */
function sendPaced(socket: Socket): void {
  let sent = 0;
  const next = () => {
    if (socket.destroyed) return;
    const event = chunk(streamEvent(nowMicroseconds()));
    sent++;
    if (sent < chunksPerStream) {
      socket.write(sent === 1 ? streamHead + event : event);
      setTimeout(next, pauseMs);
    } else socket.write(event + streamEnd);
  };
  next();
}

interface FoundRequest {
  readonly bodyAt: number;
  readonly end: number;
  readonly isLast: boolean;
}

/** Where the first request in `bytes` ends, and where its body begins. Undefined while there is more to come. */
function findRequest(bytes: Buffer): FoundRequest | undefined {
  const at = bytes.indexOf(headEnd);
  if (at === -1) return undefined;
  const bodyAt = at + headEnd.length;
  const head = bytes.toString("latin1", 0, at).toLowerCase();
  const isLast = head.includes("\r\nconnection: close");
  const lengthAt = head.indexOf("\r\ncontent-length:");
  if (lengthAt !== -1) {
    const end = bodyAt + Number.parseInt(head.slice(lengthAt + 17), 10);
    return end <= bytes.length ? { bodyAt, end, isLast } : undefined;
  }
  if (!head.includes("\r\ntransfer-encoding: chunked")) return { bodyAt, end: bodyAt, isLast };
  const last = bytes.indexOf(lastChunk, at + 2);
  return last === -1 ? undefined : { bodyAt, end: last + lastChunk.length, isLast };
}

/** What to answer; undefined for a stream that takes its time. */
function chooseAnswer(bytes: Buffer, { bodyAt, end }: FoundRequest): Buffer | undefined {
  if (bytes[0] !== 0x50) return models;
  const body = end - bodyAt > searchedBytesMax ? "" : bytes.toString("latin1", bodyAt, end);
  if (!streamMarker.test(body)) return answer;
  return pacedMarker.test(body) ? undefined : wholeStream;
}

/** How many bytes the unfinished request at the start of `bytes` has; 0 while nobody knows. */
function wantedBytes(bytes: Buffer): number {
  const at = bytes.indexOf(headEnd);
  if (at === -1) return 0;
  const length = /\r\ncontent-length: *(\d+)/i.exec(bytes.toString("latin1", 0, at))?.[1];
  return length === undefined ? 0 : at + headEnd.length + Number(length);
}

function serveConnection(socket: Socket): void {
  let pieces: Buffer[] = [];
  let [size, wanted] = [0, 0];
  /** The last request that came in one piece, and its answer: most connections ask the same thing again and again. */
  let known: { request: Buffer; answer: Buffer } | undefined;

  const serveAll = (whole: Buffer): Buffer => {
    let bytes = whole;
    for (let found = findRequest(bytes); found !== undefined && bytes.length > 0; found = findRequest(bytes)) {
      const chosen = chooseAnswer(bytes, found);
      if (chosen === undefined) sendPaced(socket);
      else socket.write(chosen);
      if (found.isLast) socket.end();
      else if (chosen !== undefined && found.end === whole.length && bytes === whole) {
        known = { request: Buffer.from(whole), answer: chosen };
      }
      bytes = bytes.subarray(found.end);
    }
    return bytes;
  };

  socket.on("error", () => socket.destroy());
  socket.on("data", (piece: Buffer) => {
    if (size === 0 && known?.request.equals(piece)) return void socket.write(known.answer);
    pieces.push(piece);
    size += piece.length;
    // A large body comes in many pieces: they are put together once, not at every piece.
    if (size < wanted) return;
    const rest = serveAll(pieces.length === 1 ? piece : Buffer.concat(pieces));
    pieces = rest.length === 0 ? [] : [rest];
    size = rest.length;
    wanted = wantedBytes(rest);
  });
}

const server = createServer({ noDelay: true }, serveConnection);
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) console.log(JSON.stringify({ port: address.port }));
});
