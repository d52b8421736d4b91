import { NexusError } from "../base/errors.ts";
import { readMultipartForm } from "../base/multipart-form.ts";

/** A file of a form. */
export interface FormFile {
  /** Of the form's field, such as `file` or `image`; without the brackets of a list. */
  readonly name: string;
  /** What the client calls it: never a path. Only its ending is of use. */
  readonly filename: string;
  /** As the client says it, in lower case: a claim. Empty when it does not. */
  readonly contentType: string;
  /** A view of the request's body. */
  readonly bytes: Buffer;
}

export interface ServiceForm {
  /** As a JSON body would have them: texts, lists for `name[]`, and `stream` as a boolean. */
  readonly fields: Record<string, unknown>;
  readonly files: readonly FormFile[];
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The fields and files of a form; its files are not copied. The number of parts is bounded, their size by the body's.
 * @throws NexusError `invalid_request` for a form that could be read in two ways, `unsupported_media_type` for none.
 */
export function readForm(bytes: Buffer, contentType: string): ServiceForm {
  const fields = new Map<string, unknown>();
  const lists = new Map<string, string[]>();
  const files: FormFile[] = [];
  for (const part of readMultipartForm(bytes, contentType)) {
    const isList = part.name.endsWith("[]");
    const name = isList ? part.name.slice(0, -2) : part.name;
    const content = bytes.subarray(part.start, part.end);
    if (part.filename !== undefined) {
      files.push({ name, filename: part.filename, contentType: part.contentType ?? "", bytes: content });
      continue;
    }
    const text = decode(name, content);
    if (fields.has(name) && !(isList && lists.has(name))) throw wrong(name, "appears twice");
    if (!isList) {
      fields.set(name, name === "stream" ? readBoolean(name, text) : text);
      continue;
    }
    const list = lists.get(name) ?? [];
    list.push(text);
    lists.set(name, list);
    fields.set(name, list);
  }
  return { fields: Object.fromEntries(fields), files };
}

function wrong(name: string, problem: string): NexusError {
  return new NexusError("invalid_request", `\`${name}\` ${problem}.`, { param: name });
}

function decode(name: string, content: Buffer): string {
  try {
    return utf8.decode(content);
  } catch (error) {
    throw new NexusError("invalid_request", `\`${name}\` is not UTF-8.`, { param: name, cause: error });
  }
}

function readBoolean(name: string, text: string): boolean {
  if (text === "true" || text === "false") return text === "true";
  throw wrong(name, "must be true or false");
}
