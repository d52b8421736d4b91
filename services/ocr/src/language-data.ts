import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import english from "@tesseract.js-data/eng";

/** Where the data of one language is. */
export interface LanguageFile {
  readonly code: string;
  readonly path: string;
  readonly bytes: number;
}

/** What a model needs to read its languages. */
export interface LanguageModel {
  /** Such as `eng` or `eng+deu`. */
  readonly languages: string;
  readonly files: readonly LanguageFile[];
}

export interface FoundLanguages {
  readonly models: readonly LanguageModel[];
  /** What to do about each language that is missing; empty when none is. */
  readonly problems: readonly string[];
}

/** The package has two: this one is the neural network in integers, 3 MB, near the other's quality and twice as fast. */
const ownDirectory = join(dirname(english.langPath), "4.0.0_best_int");
/** Where Debian's packages `tesseract-ocr-CODE` put theirs. */
const systemDirectories = ["/usr/share/tesseract-ocr/5/tessdata", "/usr/share/tesseract-ocr/4.00/tessdata"];

/** Looks for the data of every language of every model. A model is there when all its languages are. */
export async function findLanguages(
  wanted: readonly string[],
  dataDirectory: string | undefined,
): Promise<FoundLanguages> {
  const directories = [...(dataDirectory === undefined ? [] : [dataDirectory]), ownDirectory, ...systemDirectories];
  const codes = [...new Set(wanted.flatMap((languages) => languages.split("+")))];
  const found = new Map(
    (await Promise.all(codes.map((code) => findFile(code, directories)))).flatMap((file) =>
      file === undefined ? [] : [[file.code, file] as const],
    ),
  );
  const models = wanted.flatMap((languages) => {
    const files = languages.split("+").flatMap((code) => found.get(code) ?? []);
    return files.length === languages.split("+").length ? [{ languages, files }] : [];
  });
  const missing = codes.filter((code) => !found.has(code));
  return { models, problems: missing.map(describeMissing) };
}

function describeMissing(code: string): string {
  const debian = code.replaceAll("_", "-");
  return `There is no data for ${code}: apt install tesseract-ocr-${debian}, or put ${code}.traineddata into the directory that NEXUS_OCR_DATA names.`;
}

async function findFile(code: string, directories: readonly string[]): Promise<LanguageFile | undefined> {
  for (const directory of directories) {
    for (const ending of [".traineddata", ".traineddata.gz"]) {
      const path = join(directory, `${code}${ending}`);
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile() === true) return { code, path, bytes: found.size };
    }
  }
  return undefined;
}

const unpack = promisify(gunzip);
/** The largest of Tesseract's own is 40 MB. */
const dataBytesMax = 256 * 1024 * 1024;

/** The bytes of a language's data, unpacked. */
export async function readLanguage(file: LanguageFile): Promise<Uint8Array> {
  const bytes = await readFile(file.path);
  return file.path.endsWith(".gz") ? await unpack(bytes, { maxOutputLength: dataBytesMax }) : bytes;
}
