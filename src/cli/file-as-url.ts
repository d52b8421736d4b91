import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { describeError } from "../base/errors.ts";
import { CliError } from "./cli-error.ts";
import type { CliContext } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";

/** What fits into a request once it is in base64. */
const bytesMax = 40 * 1024 * 1024;

/** How files begin that services read. */
const beginnings: readonly (readonly [type: string, beginning: RegExp])[] = [
  ["image/png", /^\x89PNG/],
  ["image/jpeg", /^\xff\xd8\xff/],
  ["image/webp", /^RIFF[\s\S]{4}WEBP/],
  ["image/bmp", /^BM/],
  ["application/pdf", /%PDF-/],
];

/** A file of the user's as requests carry it. */
export interface CarriedFile {
  readonly type: string;
  readonly url: string;
}

/**
 * Reads a picture or a PDF into a `data:` URL.
 * @throws CliError for what cannot be read, is too large, or is neither.
 */
export async function readFileAsUrl(context: CliContext, path: string): Promise<CarriedFile> {
  const bytes = await read(resolve(context.workingDirectory, path), path);
  const head = bytes.toString("latin1", 0, 1024);
  const type = beginnings.find(([, beginning]) => beginning.test(head))?.[0];
  if (type === undefined) throw usage(`${path} is no PNG, JPEG, WebP or BMP picture, and no PDF.`);
  return { type, url: `data:${type};base64,${bytes.toString("base64")}` };
}

async function read(place: string, path: string): Promise<Buffer> {
  try {
    if ((await stat(place)).size > bytesMax) throw new Error("it is larger than 40 MB");
    return await readFile(place);
  } catch (error) {
    throw usage(`${path} cannot be read: ${describeError(error)}.`, error);
  }
}

function usage(message: string, cause?: unknown): CliError {
  return new CliError(exitCodes.usage, "usage", message, cause === undefined ? {} : { cause });
}
