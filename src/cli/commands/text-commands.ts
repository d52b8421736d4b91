import { buildCommand } from "@stricli/core";
import type { CliContext } from "../context.ts";
import { dataFlag, integerParser, jsonFlag, parseText } from "../flags.ts";
import { lazyVerb } from "../verb.ts";
import type { EmbedFlags } from "../verbs/embed.ts";
import type { RerankFlags } from "../verbs/rerank.ts";

const modelFlag = {
  model: {
    kind: "parsed",
    parse: parseText,
    optional: true,
    placeholder: "ID",
    brief: "Model; the first one that is made for it when left out",
  },
} as const;

const fileFlag = {
  file: { kind: "parsed", parse: parseText, optional: true, placeholder: "FILE", brief: "A file with a text a line" },
} as const;

export const embedCommand = buildCommand<EmbedFlags, string[], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/embed.ts")).embed),
  parameters: {
    flags: {
      ...modelFlag,
      ...fileFlag,
      dimensions: {
        kind: "parsed",
        parse: integerParser(1, 65_536),
        optional: true,
        placeholder: "N",
        brief: "Shorter vectors, where the model can",
      },
      as: {
        kind: "enum",
        values: ["query", "document"],
        optional: true,
        brief: "What the texts are to a search, for models that tell them apart",
      },
      output: {
        kind: "parsed",
        parse: parseText,
        optional: true,
        placeholder: "FILE",
        brief: "Where to write the vectors",
      },
      ...dataFlag,
      ...jsonFlag,
    },
    aliases: { m: "model", f: "file", o: "output" },
    positional: {
      kind: "array",
      parameter: {
        parse: parseText,
        placeholder: "text",
        brief: "A text; without any, the lines of the file or of stdin",
      },
    },
  },
  docs: {
    brief: "Turn texts into vectors",
    fullDescription:
      "Texts are arguments, the lines of a file, or the lines of stdin. Each vector is a line with a JSON list; on a terminal " +
      "its beginning is shown.",
  },
});

export const rerankCommand = buildCommand<RerankFlags, string[], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/rerank.ts")).rerank),
  parameters: {
    flags: {
      ...modelFlag,
      ...fileFlag,
      top: {
        kind: "parsed",
        parse: integerParser(1, 100_000),
        optional: true,
        placeholder: "N",
        brief: "Show the best N only",
      },
      ...dataFlag,
      ...jsonFlag,
    },
    aliases: { m: "model", f: "file" },
    positional: {
      kind: "array",
      minimum: 1,
      parameter: { parse: parseText, placeholder: "query", brief: "The query, then documents" },
    },
  },
  docs: {
    brief: "Order documents by their relevance to a query",
    fullDescription: "Documents are the arguments after the query, the lines of a file, or the lines of stdin.",
  },
});
