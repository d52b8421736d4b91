import { buildCommand, buildRouteMap } from "@stricli/core";
import type { CliContext } from "../context.ts";
import { configFlag, type DataFlag, dataFlag, type JsonFlag, jsonFlag, parseText } from "../flags.ts";
import { lazyVerb } from "../verb.ts";
import type { ConfigVerbFlags } from "../verbs/config.ts";
import type { KeyCreateFlags } from "../verbs/keys.ts";

const platformFlags = { ...dataFlag, ...jsonFlag } as const;
const configFlags = { ...dataFlag, ...configFlag, ...jsonFlag } as const;

export const keysRoutes = buildRouteMap<string, CliContext>({
  routes: {
    create: buildCommand<KeyCreateFlags, [name: string], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/keys.ts")).createKey),
      parameters: {
        flags: {
          role: {
            kind: "enum",
            values: ["user", "admin"],
            default: "user",
            brief: "`user` calls models; `admin` also runs the platform",
          },
          keyFrom: {
            kind: "parsed",
            parse: parseText,
            optional: true,
            placeholder: "reference",
            brief: "Take the key that clients have already: env:NAME or file:/absolute/path",
          },
          ...platformFlags,
        },
        positional: {
          kind: "tuple",
          parameters: [{ parse: parseText, placeholder: "name", brief: "Whose key it is, such as laptop" }],
        },
      },
      docs: { brief: "Make an API key; it is shown once" },
    }),
    ls: buildCommand<DataFlag & JsonFlag, [], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/keys.ts")).listKeys),
      parameters: { flags: platformFlags },
      docs: { brief: "List keys" },
    }),
    revoke: buildCommand<DataFlag & JsonFlag, [key: string], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/keys.ts")).revokeKey),
      parameters: {
        flags: platformFlags,
        positional: { kind: "tuple", parameters: [{ parse: parseText, placeholder: "key", brief: "Its id or name" }] },
      },
      docs: { brief: "Take a key back, within a second" },
    }),
  },
  defaultCommand: "ls",
  docs: { brief: "Create, list and revoke API keys" },
});

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
  },
  defaultCommand: "show",
  docs: { brief: "Show, explain and check the configuration" },
});
