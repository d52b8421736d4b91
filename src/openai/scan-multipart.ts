import { isUtf8 } from "node:buffer";
import { NexusError } from "../base/errors.ts";
import { type FormPart, formBoundary, readMultipartForm } from "../base/multipart-form.ts";
import type { ScanOptions } from "./scan-request.ts";

/** What routing needs to know of a form. The body itself is passed on as the bytes that came in. */
export interface MultipartScan {
  /** The model that the client asked for; empty when it left that open, where it may. */
  readonly model: string;
  /** Where its value stands in the body, so that it can be replaced in place; undefined when there is none. */
  readonly modelSpan: { readonly start: number; readonly end: number } | undefined;
  readonly boundary: string;
  readonly stream: boolean;
  /** Of the answer, such as `srt` for a transcription; undefined when the client leaves it open. */
  readonly responseFormat: string | undefined;
  /** Fields and files in their order. */
  readonly parts: readonly FormPart[];
}

/** Fields that decide where a form goes and what comes back. */
const decisiveFields = ["model", "stream", "response_format"] as const;
type DecisiveField = (typeof decisiveFields)[number];

/**
 * Reads a form once, without copying its files. `contentType` is the request's header as it came; the boundary is in it.
 * @throws NexusError `unsupported_media_type`, `missing_model` or `invalid_request`, with the field at fault.
 */
export function scanMultipart(
  body: Buffer,
  contentType: string,
  { isModelOptional = false }: ScanOptions = {},
): MultipartScan {
  const parts = readMultipartForm(body, contentType);
  const found = findDecisive(parts);
  const textOf = (name: DecisiveField): string | undefined => {
    const part = found.get(name);
    return part === undefined ? undefined : readText(body, part);
  };
  const span = found.get("model");
  const model = textOf("model") ?? "";
  if (model === "" && (span !== undefined || !isModelOptional)) {
    const help = "The form must have a field `model`; GET /v1/models lists what there is.";
    throw new NexusError("missing_model", help, { param: "model" });
  }
  if (model.length > 256) throw wrong("model", "is longer than 256 characters");
  return {
    model,
    modelSpan: span && { start: span.start, end: span.end },
    boundary: formBoundary(contentType),
    stream: readBoolean("stream", textOf("stream")),
    responseFormat: textOf("response_format"),
    parts,
  };
}

/** The same form with another model id in place of the one that was found, or as its first field where none was. */
export function replaceFormModel(body: Buffer, scan: MultipartScan, model: string): Buffer {
  if (model === scan.model) return body;
  if (scan.modelSpan === undefined) {
    const field = `--${scan.boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\n${model}\r\n`;
    return Buffer.concat([Buffer.from(field), body]);
  }
  const { start, end } = scan.modelSpan;
  return Buffer.concat([body.subarray(0, start), Buffer.from(model), body.subarray(end)]);
}

function wrong(name: string, problem: string): NexusError {
  return new NexusError("invalid_request", `'${name}' ${problem}.`, { param: name });
}

function findDecisive(parts: readonly FormPart[]): ReadonlyMap<DecisiveField, FormPart> {
  const found = new Map<DecisiveField, FormPart>();
  for (const part of parts) {
    // Some readers take `model[]` and `model.x` for `model`, and some take any case.
    const base = (part.name.split(/[[.]/, 1)[0] ?? "").toLowerCase();
    const name = decisiveFields.find((field) => field === base);
    if (name === undefined) continue;
    if (part.name !== name) throw wrong(name, "must be spelled so");
    if (found.has(name)) throw wrong(name, "appears twice");
    if (part.filename !== undefined) throw wrong(name, "must be a field, not a file");
    if (!/^text\/plain(?:[\t ]*;[\t ]*charset="?utf-8"?)?$/.test(part.contentType ?? "text/plain")) {
      throw wrong(name, "must be plain text in UTF-8");
    }
    // No model id is longer, even with four bytes a character.
    if (part.end - part.start > 1_024) throw wrong(name, "is too long");
    found.set(name, part);
  }
  return found;
}

function readText(body: Buffer, { name, start, end }: FormPart): string {
  const bytes = body.subarray(start, end);
  const text = bytes.toString("utf8");
  // White space at the ends is cut off by some readers and kept by others; a byte order mark too.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses
  if (!isUtf8(bytes) || text !== text.trim() || /[\u0000-\u001f\u007f]/.test(text)) {
    throw wrong(name, "must be plain text in UTF-8, without white space around it");
  }
  return text;
}

/** Other spellings are true to some readers and false to others. */
function readBoolean(name: string, text: string | undefined): boolean {
  if (text === undefined || text === "false") return false;
  if (text === "true") return true;
  throw wrong(name, "must be true or false");
}
