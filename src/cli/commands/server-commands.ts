import { buildCommand } from "@stricli/core";
import { tierMax } from "../../contract/service-labels.ts";
import type { CliContext } from "../context.ts";
import { type DataFlag, dataFlag, integerParser, type JsonFlag, jsonFlag, parseLabel, parseText } from "../flags.ts";
import { lazyVerb } from "../verb.ts";
import type { AttachFlags } from "../verbs/attach.ts";
import type { CheckFlags } from "../verbs/check.ts";
import type { DrainFlags } from "../verbs/drain.ts";

const urlArgument = {
  parse: parseText,
  placeholder: "url",
  brief: "Base URL, such as http://127.0.0.1:11434",
} as const;

const targetArguments = {
  kind: "tuple",
  parameters: [
    { parse: parseText, placeholder: "name", brief: "A service, `service/instance`, or with --host a host" },
  ],
} as const;

export const attachCommand = buildCommand<AttachFlags, [url: string], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/attach.ts")).attach),
  parameters: {
    flags: {
      name: { kind: "parsed", parse: parseText, optional: true, placeholder: "NAME", brief: "Name to attach it under" },
      label: {
        kind: "parsed",
        parse: parseLabel,
        optional: true,
        variadic: true,
        placeholder: "k=v",
        brief: "A label; may be repeated",
      },
      keyFrom: {
        kind: "parsed",
        parse: parseText,
        optional: true,
        placeholder: "REF",
        brief: "Where the server's own key is: env:NAME or file:/path",
      },
      paid: {
        kind: "boolean",
        optional: true,
        brief: "It costs money: use it only where a route names it or allows it",
      },
      tier: {
        kind: "parsed",
        parse: integerParser(0, tierMax),
        optional: true,
        placeholder: "N",
        brief: "Use it when none of a lower tier can serve; 0 when left out",
      },
      ...dataFlag,
      ...jsonFlag,
    },
    positional: { kind: "tuple", parameters: [urlArgument] },
  },
  docs: {
    brief: "Add a model server that runs already",
    fullDescription:
      "Recognises Ollama, llama.cpp server, vLLM, LM Studio, LocalAI and any OpenAI-compatible server, and routes to its models from now on. Loads no model.",
  },
});

export const detachCommand = buildCommand<DataFlag & JsonFlag, [name: string], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/attach.ts")).detach),
  parameters: {
    flags: { ...dataFlag, ...jsonFlag },
    positional: {
      kind: "tuple",
      parameters: [{ parse: parseText, placeholder: "name", brief: "As `nexus status` shows it" }],
    },
  },
  docs: { brief: "Take an attached server away" },
});

export const checkCommand = buildCommand<CheckFlags, [url?: string], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/check.ts")).check),
  parameters: {
    flags: {
      generate: { kind: "boolean", optional: true, brief: "Also run checks that make a model generate (the default)" },
      start: {
        kind: "parsed",
        parse: parseText,
        optional: true,
        placeholder: "CMD",
        brief: "Start the service with this command, check it, and end it: shows how it starts and drains",
      },
      pid: {
        kind: "parsed",
        parse: integerParser(2, 2 ** 31 - 1),
        optional: true,
        placeholder: "PID",
        brief: "Process of the service, which is sent SIGTERM at the end: shows how it drains",
      },
      ...dataFlag,
      ...jsonFlag,
    },
    positional: { kind: "tuple", parameters: [{ ...urlArgument, optional: true }] },
  },
  docs: {
    brief: "Check that a service keeps the contract",
    fullDescription:
      "One line a check with its reason; status 1 when one fails. With --start the URL may be left out: the service is told a free port in NEXUS_PORT. Write `env NAME=value command` for variables.",
  },
});

const drainFlags = {
  host: { kind: "boolean", optional: true, withNegated: false, brief: "The name is a host's" },
  ...dataFlag,
  ...jsonFlag,
} as const;

export const drainCommand = buildCommand<DrainFlags & { reason?: string }, [name: string], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/drain.ts")).drain),
  parameters: {
    flags: {
      reason: {
        kind: "parsed",
        parse: parseText,
        optional: true,
        placeholder: "TEXT",
        brief: "Why; shown in the status",
      },
      ...drainFlags,
    },
    positional: targetArguments,
  },
  docs: { brief: "Send no new requests to a host, service or instance" },
});

export const undrainCommand = buildCommand<DrainFlags, [name: string], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/drain.ts")).undrain),
  parameters: { flags: drainFlags, positional: targetArguments },
  docs: { brief: "Send requests again" },
});
