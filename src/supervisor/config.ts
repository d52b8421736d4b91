import { z } from "zod";
import { isProcessName, type ProcessSpec, processNameRule } from "./process-spec.ts";

const path = (text: string) => z.string().startsWith("/").max(1_024).optional().describe(text);

const milliseconds = (value: number, text: string) =>
  z.int().nonnegative().max(86_400_000).default(value).describe(text);

/** One of `services`: a program of the operator's own that Nexus keeps running. */
export const serviceConfigSchema = z.strictObject({
  name: z
    .string()
    .refine(isProcessName, processNameRule)
    .describe(`What it is called in \`nexus status\` and in the name of its log. ${processNameRule}`),
  command: z
    .tuple([z.string().min(1)], z.string())
    .describe("Program and arguments, such as `[ollama, serve]`. No shell reads them: no `~`, `$X`, `|` or `&&`."),
  env: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "not the name of an environment variable"), z.string())
    .default({})
    .describe(
      "Environment variables on top of PATH, HOME, USER, LOGNAME, TMPDIR, the language, time zone, proxy and " +
        "certificate variables. Nothing else is passed on.",
    ),
  cwd: z.string().min(1).optional().describe("Working directory. Default: the data directory."),
  enabled: z.boolean().default(true).describe("`false` stops it and keeps its entry."),
  url: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe(
      "Where it listens, such as `http://127.0.0.1:11434`; needed by `healthPath` and `readyPath` unless the program " +
        'writes `{"pid": 1, "url": "http://..."}` to the file that its variable NEXUS_RUN_FILE names.',
    ),
  healthPath: path(
    "Path that answers 2xx within 2 s while it works, such as `/health`. Three failures in a row, 3 s apart, and it is " +
      "restarted. Without it, it is restarted only when its process ends.",
  ),
  readyPath: path(
    "Path that answers 2xx while it takes work, such as `/readyz`. Shown, and never a reason to restart.",
  ),
  niceness: z
    .int()
    .min(0)
    .max(19)
    .default(0)
    .describe(
      "How readily it leaves the processor to others, from 0 to 19, as `nice` has it. Holds from its next start on.",
    ),
  graceMs: milliseconds(60_000, "From its start on, for which failed health checks do not count: time for loading."),
  stopGraceMs: milliseconds(10_000, "From SIGTERM to SIGKILL when it is stopped: time for finishing its work."),
});

/** `services`: the operator's own programs. */
export const servicesConfigSchema = z
  .array(serviceConfigSchema)
  .max(100)
  .superRefine((services, context) => {
    services.forEach(({ name }, index) => {
      if (services.findIndex((other) => other.name === name) === index) return;
      context.addIssue({ code: "custom", path: [index, "name"], message: `a second service called \`${name}\`` });
    });
  })
  .default([])
  .describe(
    "Programs that Nexus starts with itself and keeps running: restarted when they end or hang, `failed` after five " +
      "restarts in ten minutes. What they serve is found by discovery or by `nexus attach`.",
  );

export type ServiceConfig = z.output<typeof serviceConfigSchema>;

/** How an enabled service of the configuration is to be run. `dataDirectory` is the default `cwd`. */
export function toProcessSpec(service: ServiceConfig, dataDirectory: string): ProcessSpec {
  const {
    name,
    command,
    env,
    cwd = dataDirectory,
    niceness,
    url,
    healthPath,
    readyPath,
    graceMs,
    stopGraceMs,
  } = service;
  return {
    name,
    command,
    env,
    cwd,
    niceness,
    graceMs,
    stopGraceMs,
    ...(url === undefined ? {} : { url }),
    ...(healthPath === undefined ? {} : { health: { path: healthPath } }),
    ...(readyPath === undefined ? {} : { ready: { path: readyPath } }),
  };
}
