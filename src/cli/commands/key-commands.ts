import { buildCommand, buildRouteMap } from "@stricli/core";
import type { CliContext } from "../context.ts";
import { type DataFlag, dataFlag, type JsonFlag, jsonFlag, parseText } from "../flags.ts";
import { type Expiry, type LimitFlags, limitFlags, parseDuration, parseExpiry } from "../limit-flags.ts";
import { lazyVerb } from "../verb.ts";
import type { KeyCreateFlags, KeyRotateFlags } from "../verbs/keys.ts";
import type { TenantFlags } from "../verbs/tenants.ts";
import type { UsageFlags } from "../verbs/usage.ts";

const platformFlags = { ...dataFlag, ...jsonFlag } as const;
const keyArgument = {
  kind: "tuple",
  parameters: [{ parse: parseText, placeholder: "key", brief: "Its id or name" }],
} as const;
const keyFrom = {
  kind: "parsed",
  parse: parseText,
  optional: true,
  placeholder: "reference",
  brief: "Take the key that clients have already: env:NAME or file:/absolute/path",
} as const;

const createCommand = buildCommand<KeyCreateFlags, [name: string], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/keys.ts")).createKey),
  parameters: {
    flags: {
      role: {
        kind: "enum",
        values: ["user", "service", "monitor", "admin"],
        default: "user",
        brief: "`user` calls models, `service` registers services, `monitor` reads metrics, `admin` runs the platform",
      },
      tenant: { kind: "parsed", parse: parseText, optional: true, placeholder: "NAME", brief: "Whose key it is" },
      expires: {
        kind: "parsed",
        parse: parseExpiry,
        optional: true,
        placeholder: "30d",
        brief: "When it ends: a time from now, or never",
      },
      ...limitFlags,
      keyFrom,
      ...platformFlags,
    },
    positional: {
      kind: "tuple",
      parameters: [{ parse: parseText, placeholder: "name", brief: "What it is for, such as laptop" }],
    },
  },
  docs: {
    brief: "Make an API key; it is shown once",
    fullDescription:
      "Limits count for the key, beside those of its tenant. Days, weeks (from Monday) and months begin at midnight UTC.",
  },
});

const rotateCommand = buildCommand<KeyRotateFlags, [key: string], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/keys.ts")).rotateKey),
  parameters: {
    flags: {
      overlap: {
        kind: "parsed",
        parse: parseDuration,
        default: "1d",
        placeholder: "1d",
        brief: "How long the old key works too; 0s ends it now",
      },
      keyFrom,
      ...platformFlags,
    },
    positional: keyArgument,
  },
  docs: { brief: "Replace a key by a new one, which is shown once; limits and usage stay" },
});

const usageCommand = buildCommand<UsageFlags, [], CliContext>({
  loader: lazyVerb(async () => (await import("../verbs/usage.ts")).showUsage),
  parameters: {
    flags: {
      by: {
        kind: "enum",
        values: ["key", "tenant", "model", "operation", "day"],
        optional: true,
        variadic: ",",
        brief: "What the sums are of, such as key,day",
      },
      from: { kind: "parsed", parse: parseText, optional: true, placeholder: "2026-11-01", brief: "First day (UTC)" },
      to: { kind: "parsed", parse: parseText, optional: true, placeholder: "2026-11-30", brief: "Last day (UTC)" },
      key: { kind: "parsed", parse: parseText, optional: true, placeholder: "KEY", brief: "Of one key" },
      tenant: { kind: "parsed", parse: parseText, optional: true, placeholder: "NAME", brief: "Of one tenant" },
      model: { kind: "parsed", parse: parseText, optional: true, placeholder: "MODEL", brief: "Of one model" },
      ...platformFlags,
    },
  },
  docs: { brief: "Show what was used, this month by default" },
});

export const keysRoutes = buildRouteMap<string, CliContext>({
  routes: {
    create: createCommand,
    ls: buildCommand<DataFlag & JsonFlag, [], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/keys.ts")).listKeys),
      parameters: { flags: platformFlags },
      docs: { brief: "List keys" },
    }),
    limit: buildCommand<DataFlag & JsonFlag & LimitFlags, [key: string], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/keys.ts")).limitKey),
      parameters: { flags: { ...limitFlags, ...platformFlags }, positional: keyArgument },
      docs: { brief: "Change limits of a key; `none` takes one away" },
    }),
    rotate: rotateCommand,
    expire: buildCommand<DataFlag & JsonFlag & { readonly in?: Expiry }, [key: string], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/keys.ts")).expireKey),
      parameters: {
        flags: {
          in: {
            kind: "parsed",
            parse: parseExpiry,
            optional: true,
            placeholder: "7d",
            brief: "A time from now, or never; without it, now",
          },
          ...platformFlags,
        },
        positional: keyArgument,
      },
      docs: { brief: "Say when a key ends" },
    }),
    revoke: buildCommand<DataFlag & JsonFlag, [key: string], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/keys.ts")).revokeKey),
      parameters: { flags: platformFlags, positional: keyArgument },
      docs: { brief: "Take a key back, within a second" },
    }),
    usage: usageCommand,
  },
  defaultCommand: "ls",
  docs: { brief: "Create, limit, rotate and revoke API keys, and see what they use" },
});

const tenantLimitFlags = { ...limitFlags, ...platformFlags } as const;

export const tenantsRoutes = buildRouteMap<string, CliContext>({
  routes: {
    create: buildCommand<TenantFlags, [name: string], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/tenants.ts")).createTenant),
      parameters: {
        flags: tenantLimitFlags,
        positional: {
          kind: "tuple",
          parameters: [{ parse: parseText, placeholder: "name", brief: "Such as research" }],
        },
      },
      docs: { brief: "Make a tenant; its limits count for all its keys together" },
    }),
    ls: buildCommand<DataFlag & JsonFlag, [], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/tenants.ts")).listTenants),
      parameters: { flags: platformFlags },
      docs: { brief: "List tenants" },
    }),
    limit: buildCommand<TenantFlags, [tenant: string], CliContext>({
      loader: lazyVerb(async () => (await import("../verbs/tenants.ts")).limitTenant),
      parameters: {
        flags: tenantLimitFlags,
        positional: {
          kind: "tuple",
          parameters: [{ parse: parseText, placeholder: "tenant", brief: "Its id or name" }],
        },
      },
      docs: { brief: "Change limits of a tenant; `none` takes one away" },
    }),
  },
  defaultCommand: "ls",
  docs: { brief: "Create, list and limit tenants, to whom keys belong" },
});
