import { StringDecoder } from "node:string_decoder";
import { createParser } from "eventsource-parser";
import { brokenOff } from "./ask-gateway.ts";
import { CliError } from "./cli-error.ts";
import { exitCodes } from "./exit-codes.ts";
import { callHttp, type HttpAnswer, type HttpTarget, readText } from "./http-client.ts";
import { errorFromAnswer, parseAnswer } from "./platform.ts";

export interface PictureRequest {
  readonly path: string;
  readonly body: object;
  readonly signal: AbortSignal;
}

/** A picture, and what its maker says of it. */
export interface MadePicture {
  readonly bytes: Buffer;
  readonly seed: number | null;
  readonly size: string | null;
}

/** Events of a stream, or the fields of an answer that did not stream. */
interface PictureEvent {
  readonly type?: string;
  readonly progress?: number;
  readonly b64_json?: string;
  readonly url?: string;
  readonly seed?: number;
  readonly size?: string;
  readonly error?: unknown;
  readonly data?: readonly PictureEvent[];
}

/** The gateway's own deadlines end first, with an error that says more. */
const headTimeoutMs = 660_000;

/**
 * Asks for one picture as a stream, and takes a whole answer too from services that do not stream.
 * @param onProgress gets 0 to 1, from services that say how far they are.
 * @throws CliError with the gateway's message; the signal's reason when it was stopped.
 */
export async function streamPicture(
  gateway: HttpTarget,
  { path, body, signal }: PictureRequest,
  onProgress: (fraction: number) => void,
): Promise<MadePicture> {
  try {
    const sent = { ...body, stream: true };
    const answer = await callHttp(gateway, { method: "POST", path, body: sent, signal, timeoutMs: headTimeoutMs });
    return toPicture(await readAnswer(answer, onProgress));
  } catch (error) {
    throw brokenOff(error, signal);
  }
}

async function readAnswer({ status, body }: HttpAnswer, onProgress: (fraction: number) => void): Promise<PictureEvent> {
  if (status === 200 && body.headers["content-type"]?.startsWith("text/event-stream") === true) {
    let last: PictureEvent | undefined;
    const parser = createParser({
      onEvent({ data }) {
        const event = parseAnswer(data) as PictureEvent;
        if (event.error !== undefined) throw errorFromAnswer(502, event);
        if (event.progress !== undefined) onProgress(event.progress / 100);
        if (event.type?.endsWith(".completed") === true) last = event;
      },
    });
    const decoder = new StringDecoder("utf8");
    for await (const bytes of body as AsyncIterable<Buffer>) parser.feed(decoder.write(bytes));
    if (last !== undefined) return last;
    throw new CliError(exitCodes.failed, "backend_disconnected", "The picture broke off before its end.");
  }
  const value = parseAnswer(await readText(body)) as PictureEvent;
  if (status !== 200) throw errorFromAnswer(status, value);
  return { ...value, ...value.data?.[0] };
}

function toPicture({ b64_json: encoded, url, seed, size }: PictureEvent): MadePicture {
  const data = encoded ?? /^data:[^,]*;base64,(.*)$/s.exec(url ?? "")?.[1];
  if (data !== undefined) return { bytes: Buffer.from(data, "base64"), seed: seed ?? null, size: size ?? null };
  throw new CliError(exitCodes.failed, "backend_error", "The answer has no picture in it.", {
    ...(url === undefined ? {} : { hint: `It has a link: ${url}` }),
  });
}
