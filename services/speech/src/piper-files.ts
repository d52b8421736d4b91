import { constants, existsSync } from "node:fs";
import { appendFile, copyFile, mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { PiperFiles } from "./engine-messages.ts";

/** A voice as it came, and what belongs to it. */
export interface PiperVoice {
  /** Its ONNX file as it is published. */
  readonly path: string;
  readonly sha256: string;
}

/** What sherpa-onnx wants to read in the file of a voice, which Piper writes into a file beside it. */
const metadata = {
  model_type: "vits",
  comment: "piper",
  language: "English",
  voice: "en-us",
  has_espeak: "1",
  n_speakers: "1",
  sample_rate: "22050",
} as const;

/** The phonemes of Piper's voices, each at the place of its number. */
const phonemes =
  "_^$ !'(),-.:;?abcdefhijklmnopqrstuvwxyz\u00e6\u00e7\u00f0\u00f8\u0127\u014b\u0153\u01c0\u01c1\u01c2\u01c3\u0250\u0251" +
  "\u0252\u0253\u0254\u0255\u0256\u0257\u0258\u0259\u025a\u025b\u025c\u025e\u025f\u0260\u0261\u0262\u0263\u0264\u0265" +
  "\u0266\u0267\u0268\u026a\u026b\u026c\u026d\u026e\u026f\u0270\u0271\u0272\u0273\u0274\u0275\u0276\u0278\u0279\u027a" +
  "\u027b\u027d\u027e\u0280\u0281\u0282\u0283\u0284\u0288\u0289\u028a\u028b\u028c\u028d\u028e\u028f\u0290\u0291\u0292" +
  "\u0294\u0295\u0298\u0299\u029b\u029c\u029d\u029f\u02a1\u02a2\u02b2\u02c8\u02cc\u02d0\u02d1\u02de\u03b2\u03b8\u03c7" +
  '\u1d7b\u2c710123456789\u0327\u0303\u032a\u032f\u0329\u02b0\u02e4\u03b5\u2193#"';

/**
 * Makes of a voice what sherpa-onnx can open, once: a copy with its metadata at the end (63 MB), the table of phonemes,
 * and eSpeak NG's data. Nothing unfinished ever has the final name.
 */
export async function preparePiper({ path, sha256 }: PiperVoice, directory: string): Promise<PiperFiles> {
  await mkdir(directory, { recursive: true });
  const model = join(directory, `${sha256.slice(0, 16)}.onnx`);
  const tokens = join(directory, "phonemes.txt");
  if (!existsSync(model)) {
    const part = `${model}.${process.pid}.part`;
    await copyFile(path, part, constants.COPYFILE_FICLONE);
    await appendFile(part, onnxMetadata(metadata));
    await rename(part, model);
  }
  await writeFile(tokens, [...phonemes].map((phoneme, number) => `${phoneme} ${number}\n`).join(""));
  return { model, tokens, espeakData: await unpackEspeakData(join(directory, "espeak-ng-data")) };
}

/**
 * Entries for the end of an ONNX file. A file is one message of protocol buffers, in which a repeated field may go on
 * anywhere: `metadata_props` is field 14 of `ModelProto`, each entry a key (1) and a value (2).
 */
export function onnxMetadata(entries: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(
    Object.entries(entries).map(([key, value]) =>
      lengthDelimited(
        14,
        Buffer.concat([lengthDelimited(1, Buffer.from(key)), lengthDelimited(2, Buffer.from(value))]),
      ),
    ),
  );
}

/** Fields and lengths below 128, which take one byte each. */
function lengthDelimited(field: number, content: Buffer): Buffer {
  if (content.length > 127) throw new RangeError("a name or value is too long");
  return Buffer.concat([Buffer.from([(field << 3) | 2, content.length]), content]);
}

/** What an English voice needs of eSpeak NG's data: 2 of 24 MB. */
const isNeeded = /^(?:phon\w+|intonations|en_dict|lang\/.+)$/;

/** The package keeps all files in one, and in its program where each one stands. */
async function unpackEspeakData(directory: string): Promise<string> {
  if (existsSync(directory)) return directory;
  const entry = createRequire(import.meta.url).resolve("@echogarden/espeak-ng-emscripten");
  const program = await readFile(entry, "utf8");
  const places = [...program.matchAll(/filename:"\/usr\/share\/espeak-ng-data\/([^"]+)",start:(\d+),end:(\d+)/g)];
  if (places.length === 0) throw new Error("eSpeak NG's package is not laid out as expected");
  const part = `${directory}.${process.pid}.part`;
  await rm(part, { recursive: true, force: true });
  const data = await open(join(dirname(entry), "espeak-ng.data"), "r");
  try {
    for (const [, name = "", start, end] of places) {
      if (!isNeeded.test(name) || name.includes("..")) continue;
      const length = Number(end) - Number(start);
      const { buffer } = await data.read(Buffer.alloc(length), 0, length, Number(start));
      await mkdir(dirname(join(part, name)), { recursive: true });
      await writeFile(join(part, name), buffer);
    }
  } finally {
    await data.close();
  }
  await rename(part, directory);
  return directory;
}
