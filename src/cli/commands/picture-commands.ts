import { buildCommand } from "@stricli/core";
import type { CliContext } from "../context.ts";
import { dataFlag, integerParser, jsonFlag, modelFlag, parseText, textFlag } from "../flags.ts";
import { lazyVerb } from "../verb.ts";
import type { ImageFlags } from "../verbs/image.ts";
import type { OcrFlags } from "../verbs/ocr.ts";

export const ocrCommand = buildCommand<OcrFlags, string[], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/ocr.ts")).ocr),
  parameters: {
    flags: {
      ...modelFlag,
      format: {
        kind: "enum",
        values: ["text", "json"],
        optional: true,
        brief: "The text alone, or with the place of every line and word; text when left out",
      },
      pages: textFlag("PAGES", "Pages of a PDF, such as 0-3,7, counted from 0"),
      output: textFlag("FILE", "Where to write it"),
      ...dataFlag,
      ...jsonFlag,
    },
    aliases: { m: "model", f: "format", o: "output" },
    positional: {
      kind: "array",
      minimum: 1,
      parameter: { parse: parseText, placeholder: "file", brief: "A picture (PNG, JPEG, WebP, BMP) or a PDF" },
    },
  },
  docs: { brief: "Read the text off pictures and PDF pages" },
});

export const imageCommand = buildCommand<ImageFlags, string[], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/image.ts")).image),
  parameters: {
    flags: {
      ...modelFlag,
      output: {
        kind: "parsed",
        parse: parseText,
        default: "image.png",
        placeholder: "FILE",
        brief: "Where to write the picture",
      },
      size: textFlag("WxH", "Such as 1024x1024"),
      steps: {
        kind: "parsed",
        parse: integerParser(1, 200),
        optional: true,
        placeholder: "N",
        brief: "More take longer",
      },
      seed: {
        kind: "parsed",
        parse: integerParser(0, 4_294_967_295),
        optional: true,
        placeholder: "N",
        brief: "The same seed makes the same picture",
      },
      negative: textFlag("TEXT", "What is not to be seen"),
      edit: textFlag("FILE", "A picture to change as the prompt says"),
      mask: textFlag("FILE", "Where it may change: transparent there, or white when nothing is transparent"),
      ...dataFlag,
      ...jsonFlag,
    },
    aliases: { m: "model", o: "output" },
    positional: {
      kind: "array",
      parameter: { parse: parseText, placeholder: "prompt", brief: "What is to be seen" },
    },
  },
  docs: { brief: "Make a picture of a text, or change one" },
});
