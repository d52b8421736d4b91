import { NexusError } from "../base/errors.ts";
import { clientClosed } from "../resilience/attempt-failure.ts";
import { type Exchange, headerOf } from "./exchange.ts";

/**
 * The request's body as the bytes that came in.
 * @throws NexusError `request_too_large` as soon as the bound is passed or announced, `unsupported_media_type` for
 * what is not plain JSON, `client_closed` when the client leaves in the middle.
 */
export async function readBody(exchange: Exchange, bytesMax: number): Promise<Buffer> {
  const { request } = exchange;
  const type = headerOf(request, "content-type");
  if (type === undefined || !/^application\/json\s*(?:;|$)/i.test(type)) {
    throw new NexusError("unsupported_media_type", "Send the body as `Content-Type: application/json`.");
  }
  const encoding = headerOf(request, "content-encoding");
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
    throw new NexusError("unsupported_media_type", "Send the body without `Content-Encoding`.");
  }
  const announced = Number(headerOf(request, "content-length") ?? 0);
  if (announced > bytesMax) throw tooLarge(bytesMax);
  if (headerOf(request, "expect") !== undefined) exchange.response.writeContinue();
  const chunks: Buffer[] = [];
  try {
    // The stream must outlive a refusal, or the client would meet a reset instead of the answer that explains it.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      exchange.bytesIn += chunk.length;
      if (exchange.bytesIn > bytesMax) throw tooLarge(bytesMax);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof NexusError) throw error;
    throw clientClosed();
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
}

function tooLarge(bytesMax: number): NexusError {
  return new NexusError(
    "request_too_large",
    `The body is larger than ${bytesMax} bytes. Send less, or raise \`gateway.bodyBytesMax\`.`,
  );
}
