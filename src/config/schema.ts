import { z } from "zod";
import { attachConfigSchema, discoveryConfigSchema } from "../attach/config.ts";
import { modelsConfigSchema } from "../blobs/config.ts";
import { aliasesConfigSchema, authConfigSchema, gatewayConfigSchema, listenConfigSchema } from "../gateway/config.ts";
import { pricesConfigSchema } from "../keys/config.ts";
import { batchesConfigSchema, filesConfigSchema, responsesConfigSchema } from "../objects/config.ts";
import { logLevels } from "../observability/logger.ts";
import { recordsConfigSchema } from "../records/config.ts";
import { routesConfigSchema } from "../routing/config.ts";
import { databaseConfigSchema } from "../store/config.ts";
import { servicesConfigSchema } from "../supervisor/config.ts";
import { builtinServiceNames, builtinServicesSchema } from "./builtin-services.ts";
import { isLoopbackHost } from "./loopback.ts";

const logsConfigSchema = z.strictObject({
  level: z.enum(logLevels).default("info").describe("The least important log lines that are written."),
});

const registryConfigSchema = z.strictObject({
  staticFile: z
    .string()
    .min(1)
    .max(4096)
    .optional()
    .describe("A YAML file of instances that need no registration; followed while it changes."),
});

const builtinConfigSchema = z.strictObject({
  llm: z.boolean().default(true).describe("Run the model service that comes with Nexus."),
  contextTokens: z
    .int()
    .min(256)
    .max(1_048_576)
    .optional()
    .describe("Tokens of prompt and answer of one request. Default: 4096, or less where the model has less."),
  threads: z.int().min(1).max(1024).optional().describe("Threads that compute. Default: all cores but one."),
  parallel: z.int().min(1).max(64).optional().describe("Requests at once; each takes memory. Default: 2."),
  services: builtinServicesSchema,
});

/** Their logs and run files would be one with those of a service of the same name. */
const ownProcesses: readonly string[] = ["control", "gateway", "llm", ...builtinServiceNames];

/** The whole configuration. Each room describes its own part; this file only says where it goes. */
export const configSchema = z
  .strictObject({
    listen: listenConfigSchema.prefault({}),
    auth: authConfigSchema.prefault({}),
    gateway: gatewayConfigSchema.prefault({}),
    aliases: aliasesConfigSchema,
    routes: routesConfigSchema,
    builtin: builtinConfigSchema.prefault({}),
    models: modelsConfigSchema.prefault({}),
    attach: attachConfigSchema,
    discovery: discoveryConfigSchema.prefault({}),
    registry: registryConfigSchema.prefault({}),
    services: servicesConfigSchema,
    records: recordsConfigSchema.prefault({}),
    responses: responsesConfigSchema.prefault({}),
    files: filesConfigSchema.prefault({}),
    batches: batchesConfigSchema.prefault({}),
    database: databaseConfigSchema.prefault({}),
    prices: pricesConfigSchema.prefault({}),
    logs: logsConfigSchema.prefault({}),
  })
  .superRefine((config, context) => {
    config.services.forEach(({ name }, index) => {
      if (!ownProcesses.includes(name)) return;
      context.addIssue({
        code: "custom",
        path: ["services", index, "name"],
        message: "is the name of a process of Nexus",
      });
    });
    if (config.auth.mode === "none" && !isLoopbackHost(config.listen.host)) {
      context.addIssue({
        code: "custom",
        path: ["auth", "mode"],
        message:
          "`none` lets everybody in, so it is for loopback addresses only: set `auth.mode: keys`, or `listen.host: 127.0.0.1`",
      });
    }
  });

/** The configuration as every room gets its part of it: complete, checked, frozen. */
export type Config = z.output<typeof configSchema>;
