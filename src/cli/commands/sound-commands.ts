import { buildCommand } from "@stricli/core";
import type { CliContext } from "../context.ts";
import { dataFlag, jsonFlag, modelFlag, parseText, textFlag } from "../flags.ts";
import { lazyVerb } from "../verb.ts";
import type { SpeakFlags } from "../verbs/speak.ts";
import type { TranscribeFlags } from "../verbs/transcribe.ts";

/** As OpenAI's API has it. */
const speeds = { least: 0.25, most: 4 };

function parseSpeed(value: string): number {
  const speed = Number(value);
  if (speed >= speeds.least && speed <= speeds.most) return speed;
  throw new SyntaxError(`must be a number from ${speeds.least} to ${speeds.most}`);
}

export const speakCommand = buildCommand<SpeakFlags, string[], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/speak.ts")).speak),
  parameters: {
    flags: {
      ...modelFlag,
      output: textFlag("FILE", "Where to write the sound; stdout when that is no terminal"),
      voice: textFlag("NAME", "alloy, nova, ... or the tag of a language, such as de; alloy when left out"),
      format: textFlag("FORMAT", "wav, mp3, flac or pcm; as the file is called when left out"),
      speed: {
        kind: "parsed",
        parse: parseSpeed,
        optional: true,
        placeholder: "N",
        brief: "0.25 to 4; 1 when left out",
      },
      ...dataFlag,
      ...jsonFlag,
    },
    aliases: { m: "model", o: "output", f: "format" },
    positional: {
      kind: "array",
      parameter: { parse: parseText, placeholder: "text", brief: "What to say; else stdin" },
    },
  },
  docs: { brief: "Read a text aloud into a sound file" },
});

export const transcribeCommand = buildCommand<TranscribeFlags, [path?: string], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/transcribe.ts")).transcribe),
  parameters: {
    flags: {
      ...modelFlag,
      format: {
        kind: "enum",
        values: ["text", "srt", "vtt", "json"],
        optional: true,
        brief: "The text alone, subtitles, or all with times; text when left out",
      },
      language: textFlag("TAG", "Language that is spoken, such as en; found out when left out"),
      prompt: textFlag("TEXT", "Names and terms to expect, in a sentence"),
      translate: { kind: "boolean", optional: true, withNegated: false, brief: "Write it down in English" },
      output: textFlag("FILE", "Where to write it"),
      ...dataFlag,
      ...jsonFlag,
    },
    aliases: { m: "model", f: "format", l: "language", o: "output" },
    positional: {
      kind: "tuple",
      parameters: [
        {
          parse: parseText,
          placeholder: "file",
          optional: true,
          brief: "WAV, MP3, FLAC, Ogg or WebM; stdin when left out",
        },
      ],
    },
  },
  docs: { brief: "Write down what is said in a sound file" },
});
