import { NexusError } from "../../base/errors.ts";
import { bytes, json } from "../response.ts";
import type { Handler, ServiceRequest } from "../service.ts";
import { mediaTypeOf } from "./media-type.ts";
import {
  badResult,
  type Fields,
  isFields,
  readNumber,
  readSize,
  readText,
  readWord,
  wrongField,
} from "./read-fields.ts";
import { writeTranscript } from "./transcript.ts";
import type { Media, OcrPage, Work, WorkContext } from "./work.ts";

const contextOf = ({ signal, log }: ServiceRequest): WorkContext => ({ signal, log });

/** As many as OpenAI's API makes at once. */
const picturesMax = 10;

/** Pictures, each as base64: nothing is kept for links. */
export function answerImages(work: Work<"image">): Handler {
  return async (request) => {
    const { body, signal } = request;
    const asked = { model: String(body.model), prompt: readText(body, "prompt"), ...readSize(body), body };
    const count = readNumber(body, "n", { from: 1, to: picturesMax, otherwise: 1, isWhole: true });
    const data: Fields[] = [];
    while (data.length < count) {
      const picture = await work(asked, contextOf(request));
      signal.throwIfAborted();
      const isPicture = picture instanceof Uint8Array && mediaTypeOf(picture)?.startsWith("image/") === true;
      if (!isPicture) throw badResult("a PNG, JPEG or WebP");
      data.push({ b64_json: Buffer.from(picture).toString("base64") });
    }
    return json({ created: Math.floor(Date.now() / 1000), data });
  };
}

/** What formats are called that do not say themselves what they are. */
const typesOfFormats: Readonly<Record<string, string>> = {
  mp3: "audio/mpeg",
  opus: "audio/ogg",
  aac: "audio/aac",
  flac: "audio/flac",
  wav: "audio/wav",
  pcm: "audio/pcm",
};
const speedRule = { from: 0.25, to: 4, otherwise: 1 };

/** Sound, from its first bytes on. */
export function answerSpeech(work: Work<"speech">): Handler {
  return async (request) => {
    const { body } = request;
    const format = readWord(body, "response_format", ["mp3", "opus", "aac", "flac", "wav", "pcm"]);
    const voice = isFields(body.voice) ? body.voice.id : (body.voice ?? "default");
    if (typeof voice !== "string") throw wrongField("voice", "the name of a voice");
    const model = String(body.model);
    const asked = { model, text: readText(body, "input"), voice, speed: readNumber(body, "speed", speedRule), format };
    const media = await beginMedia(await work({ ...asked, body }, contextOf(request)));
    return bytes(media.bytes, media.type ?? typesOfFormats[format] ?? "audio/mpeg");
  };
}

/** Waits for the first piece, which tells what it is. Throws `backend_error` when there is none. */
export async function beginMedia(media: Media): Promise<{ type: string | undefined; bytes: Media }> {
  if (media instanceof Uint8Array) {
    if (media.length === 0) throw badResult("bytes");
    return { type: mediaTypeOf(media), bytes: media };
  }
  if (!isPieces(media)) throw badResult("bytes");
  const iterator = media[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true || first.value.length === 0) throw badResult("bytes");
  return { type: mediaTypeOf(first.value), bytes: continued(first.value, iterator) };
}

function isPieces(value: unknown): value is AsyncIterable<Uint8Array> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

async function* continued(first: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield first;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

/** A transcript as JSON, as text or as subtitles. */
export function answerTranscriptions(work: Work<"transcription">): Handler {
  return async (request) => {
    const { body, files } = request;
    const file = files.find(({ name }) => name === "file");
    if (file === undefined || file.bytes.length === 0) throw wrongField("file", "a file with sound in it");
    const format = readWord(body, "response_format", ["json", "text", "srt", "vtt", "verbose_json"]);
    const language = typeof body.language === "string" && body.language !== "" ? body.language : null;
    const { bytes: sound, filename } = file;
    const asked = { model: String(body.model), sound, filename, language, body };
    return writeTranscript(await work(asked, contextOf(request)), format);
  };
}

/** Pages of a picture or a document that comes with the request. */
export function answerOcr(work: Work<"ocr">): Handler {
  return async (request) => {
    const { body } = request;
    const { document, type } = readDocument(body.document);
    const asked = { model: String(body.model), document, type, body };
    const pages: unknown = await work(asked, contextOf(request));
    if (!Array.isArray(pages) || pages.length === 0 || !pages.every(isPage)) throw badResult("a list of pages");
    return json({
      model: body.model,
      pages: pages.map(({ markdown }, index) => ({ index, markdown, images: [], dimensions: null })),
      usage_info: { pages_processed: pages.length, doc_size_bytes: document.length },
    });
  };
}

function isPage(value: unknown): value is OcrPage {
  return isFields(value) && typeof value.markdown === "string";
}

const dataUrl = /^data:([\w.+-]+\/[\w.+-]+)(?:;[\w=.+-]+)*;base64,/;

/** Links are not followed: they would let clients look into the service's network. */
function readDocument(value: unknown): { readonly document: Buffer; readonly type: string } {
  const given = isFields(value) ? (value.image_url ?? value.document_url) : undefined;
  const url = isFields(given) ? given.url : given;
  const [start = "", type = ""] = (typeof url === "string" ? dataUrl.exec(url) : null) ?? [];
  const document = Buffer.from(typeof url === "string" ? url.slice(start.length) : "", "base64");
  if (start !== "" && document.length > 0) return { document, type };
  throw new NexusError("invalid_request", "`document` must bring its bytes, as a data: URL in base64.", {
    param: "document",
  });
}
