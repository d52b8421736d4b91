import { createHash } from "node:crypto";
import { mkdir, readFile, stat } from "node:fs/promises";
import { endianness } from "node:os";
import { join } from "node:path";
import { type KeptModel, type TextModel, toLengthOne } from "@nexus/embeddings/text-models";
import { describeError, type Logger, writeFileAtomic } from "nexus/base";
import { z } from "zod";
import type { Examples, Label } from "./examples.ts";
import { type Labelled, type Learned, learn } from "./softmax-regression.ts";

export interface LearnOnceOptions {
  readonly examples: Examples;
  readonly directory: string;
  readonly log: Logger;
  /** A text as the model wants it. */
  readonly mark: (text: string) => string;
}

/**
 * What is learned from the examples. It is kept in `MODEL.json` of the directory, with a digest of all that it depends
 * on: the model's file, its runtime, the examples, and the code and numbers of the learning. A file of another digest, or
 * a damaged one, is learned anew and replaced; one that cannot be written costs the next start some seconds.
 */
export async function learnOnce(kept: KeptModel, options: LearnOnceOptions): Promise<Learned<Label>> {
  const { directory, examples, log } = options;
  const model = kept.entry.id;
  const path = join(directory, `${model}.json`);
  const marked = labelsOf(examples).map((label) => [label, examples[label].map(options.mark)] as const);
  const shape = { key: await keyOf(kept, marked), labels: labelsOf(examples), length: kept.model.facts.dimensions };
  const found = await readLearned(path, shape);
  if (typeof found === "object") return found;
  if (found !== undefined) log.warn({ model, path, reason: found }, "what was learned cannot be used: learning anew");
  const learned = await learn(await readExamples(kept.model, marked));
  log.info({ model, examples: Object.values(examples).flat().length }, "learned from the examples");
  try {
    await mkdir(directory, { recursive: true });
    await writeFileAtomic(path, serialise(learned, shape.key));
  } catch (error) {
    log.warn({ model, path, reason: describeError(error) }, "what was learned cannot be kept");
  }
  return learned;
}

function labelsOf(examples: Examples): readonly Label[] {
  return (Object.keys(examples) as Label[]).filter((label) => examples[label].length > 0);
}

type MarkedExamples = readonly (readonly [label: Label, texts: readonly string[]])[];

async function readExamples(model: TextModel, marked: MarkedExamples): Promise<readonly Labelled<Label>[]> {
  const read: Labelled<Label>[] = [];
  for (const [label, texts] of marked) {
    for (const text of texts) read.push({ label, vector: toLengthOne(await model.read(text)) });
  }
  return read;
}

/** Changes with the source of the learning, so that nobody has to remember to change a number. */
const learningSource = new URL("./softmax-regression.ts", import.meta.url);

async function keyOf({ sha256, model }: KeptModel, marked: MarkedExamples): Promise<string> {
  const { runtime, tokensMax } = model.facts;
  const learning = digestOf(await readFile(learningSource));
  return digestOf(JSON.stringify([sha256, runtime, tokensMax, marked, learning, endianness()]));
}

function digestOf(content: string | Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

/** Some 50 KB with eleven labels and 384 dimensions. */
const fileBytesMax = 4 * 1024 * 1024;

const fileSchema = z.strictObject({
  version: z.literal(1),
  key: z.string(),
  labels: z.array(z.string()),
  /** 32-bit and 64-bit floats of this machine, in base64. */
  centre: z.base64(),
  weights: z.array(z.base64()),
  /** Of all before it. */
  digest: z.string(),
});
type KeptFile = z.output<typeof fileSchema>;

function serialise({ classes, centre, weights }: Learned<Label>, key: string): string {
  const content: Omit<KeptFile, "digest"> = {
    version: 1,
    key,
    labels: [...classes],
    centre: toBase64(centre),
    weights: weights.map(toBase64),
  };
  return JSON.stringify({ ...content, digest: digestOf(JSON.stringify(content)) });
}

function toBase64({ buffer, byteOffset, byteLength }: Float32Array | Float64Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
}

interface Shape {
  readonly key: string;
  readonly labels: readonly Label[];
  readonly length: number;
}

/** What the file keeps; undefined when there is none, or why it cannot be used. */
async function readLearned(path: string, shape: Shape): Promise<Learned<Label> | string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > fileBytesMax) return "the file is too large";
    return parseLearned(await readFile(path, "utf8"), shape);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? undefined : describeError(error);
  }
}

function parseLearned(text: string, { key, labels, length }: Shape): Learned<Label> | string {
  const parsed = fileSchema.safeParse(parseJson(text));
  if (!parsed.success) return "the file is damaged";
  const { digest, ...content } = parsed.data;
  if (digestOf(JSON.stringify(content)) !== digest) return "the file is damaged";
  if (content.key !== key) return "the examples, the model or the way of learning have changed";
  const centre = new Float32Array(bytesOf(content.centre));
  const weights = content.weights.map((row) => new Float64Array(bytesOf(row)));
  const fits =
    content.labels.join() === labels.join() &&
    weights.length === labels.length &&
    centre.length === length &&
    weights.every((row) => row.length === length + 1) &&
    [centre, ...weights].every((row) => row.every(Number.isFinite));
  return fits ? { classes: labels, centre, weights } : "the file is of another shape";
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A copy that begins where numbers of eight bytes may. */
function bytesOf(base64: string): ArrayBuffer {
  return Uint8Array.from(Buffer.from(base64, "base64")).buffer;
}
