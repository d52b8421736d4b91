import { buildCommand } from "@stricli/core";
import type { CliContext } from "../context.ts";
import { dataFlag, integerParser, jsonFlag, parseText } from "../flags.ts";
import { lazyVerb } from "../verb.ts";
import type { ExplainFlags } from "../verbs/explain.ts";

export const explainCommand = buildCommand<ExplainFlags, [subject?: string], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/explain.ts")).explain),
  parameters: {
    flags: {
      dryRun: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "Ask where a request for a model would go, and send nothing",
      },
      operation: {
        kind: "parsed",
        parse: parseText,
        optional: true,
        placeholder: "ID",
        brief: "For --dry-run: the operation, such as embeddings.create; chat.completions.create when left out",
      },
      body: {
        kind: "parsed",
        parse: parseText,
        optional: true,
        placeholder: "FILE",
        brief: "For --dry-run: a request body, for what it needs",
      },
      failed: { kind: "boolean", optional: true, withNegated: false, brief: "List only requests that failed" },
      lines: {
        kind: "parsed",
        parse: integerParser(1, 1_000),
        default: "20",
        placeholder: "N",
        brief: "How many requests to list",
      },
      ...dataFlag,
      ...jsonFlag,
    },
    positional: {
      kind: "tuple",
      parameters: [
        { parse: parseText, optional: true, placeholder: "request", brief: "A request id; with --dry-run a model" },
      ],
    },
  },
  docs: {
    brief: "Show where a request went and why, and where its time went",
    fullDescription:
      "Every answer carries its request id in the header `x-request-id`. Without one, the newest requests are listed.",
  },
});
