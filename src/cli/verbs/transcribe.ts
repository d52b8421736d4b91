import { randomBytes } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { describeError } from "../../base/errors.ts";
import { askForText } from "../ask-gateway.ts";
import { usageError } from "../cli-error.ts";
import type { CliContext } from "../context.ts";
import { findOutput } from "../find-output.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform, parseAnswer } from "../platform.ts";
import { readStdin } from "../read-stdin.ts";
import { firstServedModel } from "../served-models.ts";
import { printable } from "../terminal.ts";
import type { Verb } from "../verb.ts";
import { waitShown } from "../wait-shown.ts";

export interface TranscribeFlags extends DataFlag, JsonFlag {
  readonly model?: string;
  readonly format?: "text" | "srt" | "vtt" | "json";
  readonly language?: string;
  readonly prompt?: string;
  readonly translate?: boolean;
  readonly output?: string;
}

interface Sound {
  readonly name: string;
  readonly bytes: Buffer;
}

/** What a service takes in one request. */
const bytesMax = 64 * 1024 * 1024;
/** A transcript comes when all was heard: an hour of sound may take an hour. */
const answerMs = 4 * 60 * 60 * 1000;

/** `nexus transcribe FILE`: what is said in a sound file, or in what is piped in. */
export const transcribe: Verb<TranscribeFlags, [path?: string]> = async ({ context }, flags, path) => {
  const { terminal, interrupts } = context;
  const { signal } = interrupts;
  const place = flags.output === undefined ? undefined : await findOutput(context, flags.output);
  const sound = await readSound(context, path);
  const gateway = await findPlatform(context, flags).gateway();
  const wanted = { domain: "transcription", service: "transcription", signal } as const;
  const model = flags.model ?? (await firstServedModel(gateway, wanted));
  const format = flags.json === true ? "json" : (flags.format ?? "text");
  const fields = {
    model,
    response_format: format === "json" ? "verbose_json" : format,
    ...(flags.language === undefined ? {} : { language: flags.language }),
    ...(flags.prompt === undefined ? {} : { prompt: flags.prompt }),
  };
  const operation = flags.translate === true ? "translations" : "transcriptions";
  const shown = (time: string): string => `Listening to ${printable(sound.name)}  ${time}`;
  const question = { path: `/v1/audio/${operation}`, raw: form(fields, sound), signal, timeoutMs: answerMs };
  const answer = await waitShown(terminal, shown, askForText(gateway, question));
  const document = format === "json" ? parseAnswer(answer) : { model, format, text: answer };
  const text = format === "json" ? JSON.stringify(document, null, 2) : answer.trimEnd();
  if (place === undefined) return { json: document, text: [printable(text, { keepLines: true })] };
  await writeFile(place, `${text}\n`);
  return { json: { ...(document as object), output: place }, text: [`Written to ${flags.output} by ${model}.`] };
};

async function readSound(context: CliContext, path = "-"): Promise<Sound> {
  const isPiped = path === "-";
  if (isPiped && context.stdin.isTTY === true) {
    throw usageError("There is no sound.", "Write nexus transcribe FILE, or pipe a file into it.");
  }
  const name = isPiped ? "stdin" : basename(path);
  const bytes = isPiped ? await readStdin(context, bytesMax) : await readSoundFile(context, path);
  if (bytes.length === 0) throw usageError(`${name} is empty.`, "Give it a sound file.");
  return { name, bytes };
}

async function readSoundFile({ workingDirectory }: CliContext, path: string): Promise<Buffer> {
  try {
    const place = resolve(workingDirectory, path);
    if ((await stat(place)).size > bytesMax) throw new Error("it is larger than 64 MB");
    return await readFile(place);
  } catch (error) {
    throw usageError(`${path} cannot be read: ${describeError(error)}.`, "Give the path of a sound file.");
  }
}

/** `multipart/form-data`, RFC 7578. A name that is none for a form is not sent: services look at the bytes. */
function form(fields: Readonly<Record<string, string>>, { bytes }: Sound) {
  const boundary = `nexus-${randomBytes(16).toString("hex")}`;
  const part = (head: string): Buffer =>
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n`);
  const texts = Object.entries(fields).flatMap(([name, value]) => [
    part(`name="${name}"`),
    Buffer.from(`${value}\r\n`),
  ]);
  const end = Buffer.from(`\r\n--${boundary}--\r\n`);
  const file = part('name="file"; filename="sound"\r\nContent-Type: application/octet-stream');
  return {
    bytes: Buffer.concat([...texts, file, bytes, end]),
    contentType: `multipart/form-data; boundary=${boundary}`,
  };
}
