import { NexusError } from "../base/errors.ts";
import { clientClosed } from "../resilience/attempt-failure.ts";
import type { Exchange } from "./exchange.ts";

export interface ReadBodyOptions {
  /** Media types that the operation reads, in lower case and without parameters. Default: JSON alone. */
  readonly mediaTypes?: readonly string[];
}

const jsonOnly: readonly string[] = ["application/json"];

/**
 * The request's body as the bytes that came in. Parameters of the content type, such as a multipart boundary, are the
 * reader's affair.
 * @throws NexusError, or rejects with it: `request_too_large` as soon as the bound is passed or announced, `unsupported_media_type` for
 * what the operation does not read, `client_closed` when the client leaves in the middle.
 */
export function readBody(exchange: Exchange, bytesMax: number, options: ReadBodyOptions = {}): Promise<Buffer> {
  const { request } = exchange;
  requireMediaType(request.header("content-type"), options.mediaTypes ?? jsonOnly);
  const encoding = request.header("content-encoding");
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
    throw new NexusError("unsupported_media_type", "Send the body without `Content-Encoding`.");
  }
  if (Number(request.header("content-length") ?? 0) > bytesMax) throw tooLarge(bytesMax);
  return receive(exchange, bytesMax);
}

function requireMediaType(header: string | undefined, wanted: readonly string[]): void {
  if (header !== undefined) {
    const end = header.indexOf(";");
    const type = (end === -1 ? header : header.slice(0, end)).trim().toLowerCase();
    if (wanted.includes(type)) return;
  }
  const names = wanted.map((type) => `\`Content-Type: ${type}\``).join(" or ");
  throw new NexusError("unsupported_media_type", `Send the body as ${names}.`);
}

function receive(exchange: Exchange, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  exchange.request.receiveBody({
    data(chunk) {
      exchange.bytesIn += chunk.length;
      // The rest is read and dropped, or the client would meet a reset instead of the answer that explains it.
      if (exchange.bytesIn > bytesMax) reject(tooLarge(bytesMax));
      else chunks.push(chunk);
      return true;
    },
    end: () => resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)),
    fail: () => reject(clientClosed()),
  });
  return promise;
}

function tooLarge(bytesMax: number): NexusError {
  return new NexusError(
    "request_too_large",
    `The body is larger than ${bytesMax} bytes. Send less, or raise \`gateway.bodyBytesMax\`.`,
  );
}
