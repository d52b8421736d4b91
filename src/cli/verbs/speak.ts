import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { extname } from "node:path";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { brokenOff } from "../ask-gateway.ts";
import { usageError } from "../cli-error.ts";
import type { CliContext } from "../context.ts";
import { findOutput } from "../find-output.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { callHttp, type HttpTarget, readText } from "../http-client.ts";
import { errorFromAnswer, findPlatform, parseAnswer } from "../platform.ts";
import { readStdin } from "../read-stdin.ts";
import { firstServedModel } from "../served-models.ts";
import { formatBytes, type Terminal } from "../terminal.ts";
import type { Verb } from "../verb.ts";

export interface SpeakFlags extends DataFlag, JsonFlag {
  readonly model?: string;
  readonly output?: string;
  readonly voice?: string;
  readonly format?: string;
  readonly speed?: number;
}

/** The gateway's own deadline for the first sound ends first, with an error that says more. */
const firstSoundMs = 660_000;
/** Longer texts are refused by every service. */
const textBytesMax = 8 * 1024 * 1024;

/** `nexus speak TEXT`: sound in a file, or on stdout when that is no terminal. */
export const speak: Verb<SpeakFlags, string[]> = async ({ context }, flags, ...words) => {
  const { terminal, interrupts } = context;
  const { signal } = interrupts;
  const isShown = (context.stdout as { readonly isTTY?: boolean }).isTTY === true;
  if (flags.output === undefined && (isShown || flags.json === true)) {
    throw usageError(
      "Say where the sound goes.",
      'nexus speak "..." -o speech.wav, or pipe it: nexus speak "..." | aplay',
    );
  }
  const path = flags.output === undefined ? undefined : await findOutput(context, flags.output);
  const input = await readInput(context, words);
  const gateway = await findPlatform(context, flags).gateway();
  const model = flags.model ?? (await firstServedModel(gateway, { domain: "speech", service: "speech", signal }));
  const format = flags.format ?? formatOf(flags.output);
  const body = { model, input, voice: flags.voice ?? "alloy", response_format: format, speed: flags.speed ?? 1 };
  const sound = await askForSound(gateway, body, signal);
  if (path === undefined) {
    await send(sound, context.stdout as Writable, terminal, signal);
    return undefined;
  }
  const bytes = await saveSound(sound, path, terminal, signal);
  return {
    json: { model, format, output: path, bytes },
    text: [`${formatBytes(bytes)} by ${model}, in ${flags.output}.`],
  };
};

async function readInput(context: CliContext, words: readonly string[]): Promise<string> {
  const isGiven = words.length > 0 || context.stdin.isTTY === true;
  const input = isGiven ? words.join(" ") : (await readStdin(context, textBytesMax)).toString();
  if (input.trim() !== "") return input.trim();
  throw usageError("There is no text.", 'Write nexus speak "your text" -o speech.wav, or pipe text into it.');
}

const endings: Readonly<Record<string, string>> = {
  ".mp3": "mp3",
  ".flac": "flac",
  ".pcm": "pcm",
  ".raw": "pcm",
  ".opus": "opus",
  ".aac": "aac",
};

/** As the file is called; without one, what every player takes from a pipe. */
function formatOf(output: string | undefined): string {
  return endings[extname(output ?? "").toLowerCase()] ?? "wav";
}

async function askForSound(gateway: HttpTarget, body: object, signal: AbortSignal): Promise<Readable> {
  try {
    const call = { method: "POST", path: "/v1/audio/speech", body, signal, timeoutMs: firstSoundMs } as const;
    const answer = await callHttp(gateway, call);
    if (answer.status !== 200) throw errorFromAnswer(answer.status, parseAnswer(await readText(answer.body)));
    return answer.body;
  } catch (error) {
    throw brokenOff(error, signal, "The sound");
  }
}

/** Nothing unfinished ever has the file's name. */
async function saveSound(sound: Readable, path: string, terminal: Terminal, signal: AbortSignal): Promise<number> {
  const part = `${path}.${process.pid}.part`;
  try {
    const bytes = await send(sound, createWriteStream(part), terminal, signal);
    await rename(part, path);
    return bytes;
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

/** Passes sound on as it comes, and shows on a terminal how much there was. */
async function send(sound: Readable, to: Writable, terminal: Terminal, signal: AbortSignal): Promise<number> {
  const area = terminal.live();
  let bytes = 0;
  sound.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    area.update([`Speaking  ${formatBytes(bytes)}`]);
  });
  try {
    await pipeline(sound, to, { signal, end: to !== process.stdout });
    return bytes;
  } catch (error) {
    throw brokenOff(error, signal, "The sound");
  } finally {
    area.clear();
  }
}
