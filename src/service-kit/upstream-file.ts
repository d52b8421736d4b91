import { readFile } from "node:fs/promises";
import { z } from "zod";
import { NexusError } from "../base/errors.ts";
import { domainSchema, modelSchema } from "../contract/metadata.ts";
import { parseOrThrow } from "../contract/parse.ts";
import { fieldMapSchema } from "./map-fields.ts";

const pathSchema = z.string().regex(/^\/[^\s#]*$/, "a path that begins with /");

const operationSchema = z.strictObject({
  path: pathSchema.optional().describe("Where the server has it, with `{id}` as in the contract. Default: the same."),
  request: fieldMapSchema.prefault({}),
  response: fieldMapSchema.prefault({}),
});

const workSchema = z.strictObject({
  path: pathSchema,
  request: z
    .record(z.string(), z.unknown())
    .default({})
    .describe("The JSON that the server is sent; `$name` stands for the field `name` of the work's request."),
  result: z.string().min(1).default(".").describe("Where in the server's JSON the work's result is; `.` is all of it."),
});

/** `upstream.yaml` */
export const upstreamSchema = z
  .strictObject({
    title: z.string().min(1).max(64).default("The server").describe("What errors call it."),
    url: z.url({ protocol: /^https?$/ }),
    key: z
      .string()
      .regex(/^(env:[A-Za-z_]\w*|file:\/.+)$/, "env:NAME or file:/PATH")
      .optional()
      .describe("Where its key is; it is sent as a bearer token."),
    health: z
      .strictObject({
        path: pathSchema.default("/health").describe("Answers 2xx while the server can work."),
        everySeconds: z.number().min(0.1).max(600).default(5),
      })
      .prefault({}),
    timeoutSeconds: z.number().positive().max(86_400).default(60).describe("Until the first byte of an answer."),
    stallSeconds: z.number().positive().max(86_400).default(30).describe("Between two pieces of an answer."),
    answerBytesMax: z
      .int()
      .positive()
      .default(64 * 1024 * 1024)
      .describe("Of an answer that is read whole: JSON."),
    concurrency: z.int().positive().max(1_024).default(4).describe("Requests that it is sent at once."),
    domains: z.array(domainSchema).min(1),
    models: z
      .array(
        modelSchema.extend({
          as: z.string().optional(),
          domains: z.array(domainSchema).optional(),
          state: modelSchema.shape.state.unwrap().default("loaded"),
        }),
      )
      .min(1)
      .describe("What clients ask for; `as` is what the server calls it."),
    operations: z.record(z.string(), operationSchema).default({}).describe("What is passed on, by operation."),
    work: workSchema.optional().describe("For servers that speak otherwise: how the work of the domain is asked for."),
  })
  .refine(({ operations, work }) => Object.keys(operations).length > 0 !== (work !== undefined), {
    error: "give either `operations` or `work`",
  });

/** A server to wrap, as `upstream.yaml` describes it; docs/guides/create-a-service.md explains its fields. */
export type UpstreamSettings = z.output<typeof upstreamSchema>;

/** Settings whose references are resolved. */
export interface WrappedServer {
  readonly settings: UpstreamSettings;
  readonly baseUrl: string;
  readonly key: string | undefined;
}

/**
 * Reads `upstream.yaml`. Of the service's variables it looks at `UPSTREAM_URL`, which goes before the file's `url`, and
 * at the one that `key` names.
 * @throws NexusError `invalid_request` that names the field at fault.
 */
export async function readUpstream(
  file: URL,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<WrappedServer> {
  const { parse } = await import("yaml");
  const settings = parseOrThrow(
    upstreamSchema,
    parse(await readFile(file, "utf8")),
    "invalid_request",
    "upstream.yaml",
  );
  const baseUrl = (variables.UPSTREAM_URL || settings.url).replace(/\/+$/, "");
  if (!URL.canParse(baseUrl) || !/^https?:$/.test(new URL(baseUrl).protocol)) {
    throw new NexusError("invalid_request", "UPSTREAM_URL must be an http or https URL.");
  }
  return { settings, baseUrl, key: await resolveKey(settings.key, variables) };
}

async function resolveKey(
  reference: string | undefined,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  if (reference === undefined) return undefined;
  const at = reference.indexOf(":") + 1;
  const name = reference.slice(at);
  const found = reference.startsWith("env:") ? variables[name] : await readFile(name, "utf8").catch(() => undefined);
  const key = found?.trim() ?? "";
  if (key === "") throw new NexusError("invalid_request", `upstream.yaml: key: there is nothing at ${reference}.`);
  return key;
}
