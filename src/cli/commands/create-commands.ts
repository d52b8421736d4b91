import { buildCommand, buildRouteMap } from "@stricli/core";
import { templateDomains, templateModes } from "../../scaffold/combination.ts";
import type { CliContext } from "../context.ts";
import { integerParser, type JsonFlag, jsonFlag, parseText, textFlag } from "../flags.ts";
import { lazyVerb } from "../verb.ts";
import type { CreateFlags } from "../verbs/create.ts";

const create = buildCommand<CreateFlags, [name: string], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/create.ts")).createService),
  parameters: {
    flags: {
      domain: { kind: "enum", values: [...templateDomains], optional: true, brief: "What it is for" },
      mode: {
        kind: "enum",
        values: [...templateModes],
        optional: true,
        brief: "Who does the work: a handler, a server that exists, a program for each request; native when left out",
      },
      language: textFlag("NAME", "typescript, which is the default, or python"),
      port: {
        kind: "parsed",
        parse: integerParser(1, 65_535),
        optional: true,
        placeholder: "N",
        brief: "Where it listens by default; 8810 when left out",
      },
      template: textFlag("SOURCE", "A template of your own: a directory, or git+https://HOST/PATH#BRANCH-OR-TAG"),
      directory: textFlag(
        "DIR",
        "Where to write it; a new folder NAME when left out, in a checkout of Nexus services/NAME",
      ),
      interactive: { kind: "boolean", optional: true, brief: "Ask for what is not said, on a terminal (the default)" },
      dryRun: { kind: "boolean", optional: true, withNegated: false, brief: "Show the files and write nothing" },
      overwrite: { kind: "boolean", optional: true, withNegated: false, brief: "Replace files that are there" },
      ...jsonFlag,
    },
    positional: {
      kind: "tuple",
      parameters: [{ parse: parseText, placeholder: "name", brief: "Name of the service, and of its model" }],
    },
  },
  docs: {
    brief: "Write a new service that runs and keeps the contract",
    fullDescription:
      "Shows the files, writes them, and says what to do next. Files that are there and differ are never replaced without --overwrite: it ends with status 1 and has written nothing.",
  },
});

export const createRoutes = buildRouteMap<string, CliContext>({
  routes: { service: create },
  docs: { brief: "Write a new service" },
});

export const templatesRoutes = buildRouteMap<string, CliContext>({
  routes: {
    ls: buildCommand<JsonFlag, [], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/templates.ts")).listTemplates),
      parameters: { flags: jsonFlag },
      docs: { brief: "List the templates that come with Nexus" },
    }),
    lint: buildCommand<JsonFlag, [source: string], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/templates.ts")).lintTemplate),
      parameters: {
        flags: jsonFlag,
        positional: {
          kind: "tuple",
          parameters: [{ parse: parseText, placeholder: "source", brief: "A directory, a repository, or a name" }],
        },
      },
      docs: {
        brief: "Check a template: every combination that it makes, every file of them",
        fullDescription: "Ends with status 1 when something is wrong. templates/README.md describes templates.",
      },
    }),
  },
  defaultCommand: "ls",
  docs: { brief: "List and check templates of services" },
});
