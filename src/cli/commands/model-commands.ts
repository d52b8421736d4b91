import { buildCommand, buildRouteMap } from "@stricli/core";
import type { CliContext } from "../context.ts";
import { configFlag, dataFlag, jsonFlag, parseText } from "../flags.ts";
import { lazyVerb } from "../verb.ts";
import type { ChatFlags } from "../verbs/chat.ts";
import type { ModelAddFlags, ModelFlags } from "../verbs/models.ts";

const modelArgument = {
  kind: "tuple",
  parameters: [{ parse: parseText, placeholder: "model", brief: "An id of `nexus models`" }],
} as const;

const modelFlags = { ...dataFlag, ...configFlag, ...jsonFlag } as const;

export const modelsRoutes = buildRouteMap<string, CliContext>({
  routes: {
    ls: buildCommand<ModelFlags, [], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/models.ts")).listModels),
      parameters: { flags: modelFlags },
      docs: { brief: "List models: those that answer now, and those that can be had" },
    }),
    pull: buildCommand<ModelFlags, [model: string], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/models.ts")).pullModel),
      parameters: { flags: modelFlags, positional: modelArgument },
      docs: { brief: "Fetch a model's file, verified by its digest" },
    }),
    add: buildCommand<ModelAddFlags, [model: string], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/models.ts")).addOwnModel),
      parameters: {
        flags: {
          from: {
            kind: "parsed",
            parse: parseText,
            placeholder: "SOURCE",
            brief: "An https URL, pypi:NAME==VERSION, or a path to a GGUF file",
          },
          sha256: {
            kind: "parsed",
            parse: parseText,
            optional: true,
            placeholder: "HEX",
            brief: "Digest of the file; without it the first download decides",
          },
          ...modelFlags,
        },
        positional: {
          kind: "tuple",
          parameters: [{ parse: parseText, placeholder: "model", brief: "The id that clients will ask for" }],
        },
      },
      docs: { brief: "Add a model of your own, or another source of one" },
    }),
    rm: buildCommand<ModelFlags, [model: string], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/models.ts")).removeModel),
      parameters: { flags: modelFlags, positional: modelArgument },
      docs: { brief: "Delete a model's file" },
    }),
  },
  defaultCommand: "ls",
  docs: { brief: "List, fetch, add and remove models" },
});

export const chatCommand = buildCommand<ChatFlags, string[], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/chat.ts")).chat),
  parameters: {
    flags: {
      model: {
        kind: "parsed",
        parse: parseText,
        optional: true,
        placeholder: "ID",
        brief: "Model; the first one for chat when left out",
      },
      system: { kind: "parsed", parse: parseText, optional: true, placeholder: "TEXT", brief: "System message" },
      ...dataFlag,
      ...jsonFlag,
    },
    aliases: { m: "model" },
    positional: {
      kind: "array",
      parameter: {
        parse: (text: string) => text,
        placeholder: "question",
        brief: "Asked once; without it a conversation starts",
      },
    },
  },
  docs: {
    brief: "Talk to a model",
    fullDescription:
      "With a question, or with text on stdin, answers once. On a terminal it is a conversation; /help lists its commands.",
  },
});
