import { buildCommand, buildRouteMap } from "@stricli/core";
import type { CliContext } from "../context.ts";
import { configFlag, type DataFlag, dataFlag, type JsonFlag, jsonFlag, parseText } from "../flags.ts";
import { lazyVerb } from "../verb.ts";
import type { ConfigVerbFlags } from "../verbs/config.ts";

const configFlags = { ...dataFlag, ...configFlag, ...jsonFlag } as const;

export const configRoutes = buildRouteMap<string, CliContext>({
  routes: {
    show: buildCommand<ConfigVerbFlags, [], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/config.ts")).showConfig),
      parameters: { flags: configFlags },
      docs: { brief: "Show every setting in force and where it comes from" },
    }),
    explain: buildCommand<ConfigVerbFlags, [key: string], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/config.ts")).explainConfig),
      parameters: {
        flags: configFlags,
        positional: {
          kind: "tuple",
          parameters: [{ parse: parseText, placeholder: "key", brief: "Such as gateway.retry, or a part of a name" }],
        },
      },
      docs: { brief: "Say what a setting means" },
    }),
    validate: buildCommand<ConfigVerbFlags, [], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/config.ts")).validateConfig),
      parameters: { flags: configFlags },
      docs: { brief: "Check the configuration file" },
    }),
    reload: buildCommand<DataFlag & JsonFlag, [], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/config.ts")).reloadConfig),
      parameters: { flags: { ...dataFlag, ...jsonFlag } },
      docs: { brief: "Make the configuration file hold, without a restart" },
    }),
  },
  defaultCommand: "show",
  docs: { brief: "Show, explain, check and reload the configuration" },
});
