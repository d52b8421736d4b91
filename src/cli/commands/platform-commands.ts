import { buildCommand } from "@stricli/core";
import type { CliContext } from "../context.ts";
import { configFlag, type DataFlag, dataFlag, integerParser, type JsonFlag, jsonFlag, parseText } from "../flags.ts";
import { lazyVerb } from "../verb.ts";
import type { DoctorFlags } from "../verbs/doctor.ts";
import type { GatewayFlags } from "../verbs/gateway.ts";
import type { LogsFlags } from "../verbs/logs.ts";
import type { UpFlags } from "../verbs/up.ts";

type PlatformFlags = DataFlag & JsonFlag;

export const upCommand = buildCommand<UpFlags, [], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/up.ts")).up),
  parameters: {
    flags: {
      ...dataFlag,
      ...configFlag,
      host: { kind: "parsed", parse: parseText, optional: true, placeholder: "HOST", brief: "Address to listen on" },
      port: {
        kind: "parsed",
        parse: integerParser(0, 65_535),
        optional: true,
        placeholder: "N",
        brief: "Port to listen on",
      },
      builtin: { kind: "boolean", optional: true, brief: "Run the built-in model service" },
      discovery: { kind: "boolean", optional: true, brief: "Look for model servers on this machine" },
      detach: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "Run in the background; return when it is ready",
      },
      logs: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "Print all processes' log lines as JSON, for containers; make no first key",
      },
      ...jsonFlag,
    },
  },
  docs: {
    brief: "Start the platform on this machine",
    fullDescription:
      "Starts the gateway, the built-in model service and the configured services, finds model servers on this machine, and stays in the foreground until Ctrl-C. Processes that survived an earlier `up` are taken over.",
  },
});

export const downCommand = buildCommand<PlatformFlags, [], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/down.ts")).down),
  parameters: { flags: { ...dataFlag, ...jsonFlag } },
  docs: {
    brief: "Stop the platform",
    fullDescription: "Lets requests in flight end, then stops every process, also those whose parent is gone.",
  },
});

export const statusCommand = buildCommand<PlatformFlags, [], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/status.ts")).status),
  parameters: { flags: { ...dataFlag, ...jsonFlag } },
  docs: { brief: "Show what runs where, and what is wrong" },
});

export const logsCommand = buildCommand<LogsFlags, [name?: string], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/logs.ts")).logs),
  parameters: {
    flags: {
      follow: { kind: "boolean", optional: true, withNegated: false, brief: "Go on with new lines" },
      lines: {
        kind: "parsed",
        parse: integerParser(1, 100_000),
        default: "50",
        placeholder: "N",
        brief: "How many of the last lines",
      },
      ...dataFlag,
      ...jsonFlag,
    },
    aliases: { f: "follow", n: "lines" },
    positional: {
      kind: "tuple",
      parameters: [{ parse: parseText, optional: true, placeholder: "name", brief: "A process; all when left out" }],
    },
  },
  docs: { brief: "Read the processes' logs" },
});

export const doctorCommand = buildCommand<DoctorFlags, [], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/doctor.ts")).doctor),
  parameters: { flags: { ...dataFlag, ...configFlag, ...jsonFlag } },
  docs: { brief: "Check this machine and the platform, with a fix for what fails" },
});

export const versionCommand = buildCommand<JsonFlag, [], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/version.ts")).version),
  parameters: { flags: jsonFlag },
  docs: { brief: "Print the version" },
});

export const gatewayCommand = buildCommand<GatewayFlags, [], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/gateway.ts")).gateway),
  parameters: { flags: { ...dataFlag, ...configFlag, ...jsonFlag } },
  docs: {
    brief: "Run a gateway on its own",
    fullDescription:
      "What `up` runs as one of its processes. Takes its view of the fleet from NEXUS_CONTROL_URL, and from its last snapshot while that is away.",
  },
});
