import { isUtf8 } from "node:buffer";
import { NexusError } from "./errors.ts";

/** What a field or file of a form says of itself. */
export interface PartHead {
  readonly name: string;
  /** Only files have one. */
  readonly filename: string | undefined;
  /** As the client says it, in lower case; undefined when it does not. */
  readonly contentType: string | undefined;
}

/** One field or file of a form: where its bytes stand in the body. */
export interface FormPart extends PartHead {
  readonly start: number;
  readonly end: number;
}

/** More parts than any API takes; OpenAI's image edits take 16 pictures. */
export const formPartsMax = 256;
/** Of the headers of one part. The longest that clients send are 300 bytes: a long file name. */
export const partHeadBytesMax = 4_096;

const crlf = "\r\n";

/** What is no form that can be read in one way only. */
export function refuseForm(problem: string): NexusError {
  return new NexusError("invalid_request", `The body is no form that can be read in one way only: ${problem}.`);
}

/** RFC 2046's characters without the space and the comma, which clients do not use and readers split at. */
const boundaryPattern = /^multipart\/form-data ?; ?boundary=(?:([\w'+.-]{1,70})|"([\w'+.()/:=?-]{1,70})")$/i;

/** @throws NexusError `unsupported_media_type` for what is no form, `invalid_request` for an odd boundary. */
export function formBoundary(contentType: string): string {
  const [, bare, quoted] = boundaryPattern.exec(contentType) ?? [];
  const boundary = bare ?? quoted;
  if (boundary !== undefined) return boundary;
  if (!isMultipartForm(contentType)) {
    throw new NexusError("unsupported_media_type", "Send the body with Content-Type: multipart/form-data.");
  }
  throw refuseForm("Content-Type must have one boundary of 1 to 70 plain characters, and no other parameter");
}

/** Whether a content type announces a form, readable or not. */
export function isMultipartForm(contentType: string): boolean {
  return /^multipart\/form-data[\t ]*(?:;|$)/i.test(contentType);
}

/**
 * The parts of a `multipart/form-data` body (RFC 7578), in one pass and without copying them. Strict: what two readers
 * could read differently is refused, so that whoever reads the same bytes later sees the same form. That is bytes before
 * the first boundary or after the last, the boundary anywhere but in its place, folded headers, escapes and extended
 * parameters (`filename*`), file names that are paths, and transfer encodings.
 * @throws NexusError `unsupported_media_type` or `invalid_request`.
 */
export function readMultipartForm(body: Buffer, contentType: string): readonly FormPart[] {
  // Some readers look for the boundary without its dashes: it may not stand anywhere else in that form either.
  const boundary = Buffer.from(formBoundary(contentType));
  if (!startsWith(body, "--", 0) || body.indexOf(boundary) !== 2)
    throw refuseForm("it does not begin with its boundary");
  const parts: FormPart[] = [];
  for (let at = boundary.length + 2; ; ) {
    if (startsWith(body, "--", at)) {
      const rest = body.length - at - 2;
      if (rest === 0 || (rest === 2 && startsWith(body, crlf, at + 2))) break;
      throw refuseForm("something follows its last boundary");
    }
    if (!startsWith(body, crlf, at)) throw refuseForm("a boundary is not at the end of its line");
    if (parts.length === formPartsMax) throw refuseForm(`it has more than ${formPartsMax} parts`);
    const next = body.indexOf(boundary, at);
    if (next === -1) throw refuseForm("its last boundary is missing");
    if (!startsWith(body, `${crlf}--`, next - 4)) throw refuseForm("its boundary stands in the middle of a line");
    parts.push(readPart(body, at + 2, next - 4));
    at = next + boundary.length;
  }
  if (parts.length === 0) throw refuseForm("it has no parts");
  return parts;
}

function startsWith(body: Buffer, text: string, at: number): boolean {
  for (let index = 0; index < text.length; index++) if (body[at + index] !== text.charCodeAt(index)) return false;
  return true;
}

function readPart(body: Buffer, start: number, end: number): FormPart {
  const headEnd = body.subarray(start, Math.min(end, start + partHeadBytesMax)).indexOf("\r\n\r\n");
  if (headEnd === -1) throw refuseForm("the headers of a part do not end");
  const { announcedLength, ...head } = readPartHead(body.subarray(start, start + headEnd));
  const contentStart = start + headEnd + 4;
  if (announcedLength !== undefined && announcedLength !== String(end - contentStart)) {
    throw refuseForm("a part is not as long as it says");
  }
  return { ...head, start: contentStart, end };
}

/** The headers of a part, without the empty line after them. @throws NexusError `invalid_request` */
export function readPartHead(bytes: Buffer): PartHead & { readonly announcedLength: string | undefined } {
  const headers = readHeaders(bytes);
  const disposition = headers.get("content-disposition");
  if (disposition === undefined) throw refuseForm("a part has no Content-Disposition");
  const encoding = headers.get("content-transfer-encoding")?.toLowerCase() ?? "binary";
  if (!["binary", "8bit", "7bit"].includes(encoding)) throw refuseForm("a part has a transfer encoding");
  const contentType = headers.get("content-type")?.toLowerCase();
  return { ...readDisposition(disposition), contentType, announcedLength: headers.get("content-length") };
}

function readHeaders(head: Buffer): ReadonlyMap<string, string> {
  if (!isUtf8(head)) throw refuseForm("the headers of a part are not UTF-8");
  const headers = new Map<string, string>();
  for (const line of head.toString("utf8").split(crlf)) {
    // Folded lines, bare line breaks and other control characters match nothing.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses
    const [, name, value] = /^([\w-]+): ?([^\u0000-\u001f\u007f]*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) throw refuseForm("a header of a part is malformed");
    const key = name.toLowerCase();
    if (headers.has(key)) throw refuseForm("a part has the same header twice");
    headers.set(key, value);
  }
  return headers;
}

/** Names are those of API fields, `image[]` and `include[]` among them. A file name is no path and has no escapes. */
const dispositionPattern = /^form-data; ?name="([A-Za-z0-9_.[\]-]{1,128})"(?:; ?filename="([^"\\/\t]{1,255})")?$/i;

function readDisposition(value: string): Pick<FormPart, "name" | "filename"> {
  const [, name, filename] = dispositionPattern.exec(value) ?? [];
  if (name === undefined) {
    throw refuseForm('a part needs Content-Disposition: form-data; name="..." and, for files, a plain filename="..."');
  }
  if (name === "_charset_") throw refuseForm("it sets its own character set");
  if (filename !== undefined && /^\.+$/.test(filename)) throw refuseForm("a file name is a path");
  return { name, filename };
}
