import { lstat, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { describeError, NexusError } from "../base/errors.ts";
import { parseOrThrow } from "../contract/parse.ts";
import {
  type Combination,
  type TemplateDomain,
  type TemplateMode,
  templateDomains,
  templateModes,
} from "./combination.ts";

export const manifestName = "template.yaml";
const manifestBytesMax = 1024 * 1024;

const variableName = z.string().regex(/^[a-z][a-z_]*$/, "lower-case letters and `_`");
const values = z.record(variableName, z.string());
/** A path inside of a service. */
const innerPath = z.string().regex(/^(?!.*(^|\/)\.\.?(\/|$))[^/\\\0][^\\\0]*$/, "a path below the service's folder");

const manifestSchema = z
  .strictObject({
    schema: z.literal(1),
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "lower-case letters, digits and '-'"),
    title: z.string().min(1).max(200),
    language: z.string().regex(/^[a-z0-9][a-z0-9+#-]{0,31}$/, "one word in lower case"),
    domains: z.array(z.enum(templateDomains)).min(1),
    modes: z.array(z.enum(templateModes)).min(1),
    without: z
      .array(
        z.strictObject({ domain: z.enum(templateDomains), mode: z.enum(templateModes), because: z.string().min(1) }),
      )
      .default([]),
    values: z
      .strictObject({
        domain: z.partialRecord(z.enum(templateDomains), values).default({}),
        mode: z.partialRecord(z.enum(templateModes), values).default({}),
      })
      .default({ domain: {}, mode: {} }),
    links: z.array(innerPath).max(8).default([]),
    next: z.array(z.string().min(1).max(500)).max(16).default([]),
  })
  .superRefine((manifest, context) => {
    for (const kind of ["domain", "mode"] as const) checkValues(manifest, kind, context);
  });

/** A template's `template.yaml`; templates/README.md describes its fields. */
export type Manifest = z.output<typeof manifestSchema>;

interface ValueTable {
  readonly domains: readonly TemplateDomain[];
  readonly modes: readonly TemplateMode[];
  readonly values: Readonly<Record<"domain" | "mode", Readonly<Record<string, Readonly<Record<string, string>>>>>>;
}

/** A variable that one domain has and another has not would break only the services of the other. */
function checkValues(
  { domains, modes, values: tables }: ValueTable,
  kind: "domain" | "mode",
  context: z.RefinementCtx,
) {
  const table = tables[kind];
  const names = new Set(Object.values(table).flatMap((row) => Object.keys(row)));
  for (const one of kind === "domain" ? domains : modes) {
    for (const name of names) {
      if (table[one]?.[name] !== undefined) continue;
      context.addIssue({
        code: "custom",
        path: ["values", kind, one],
        message: `has no \`${name}\`, which others have`,
      });
    }
  }
}

/**
 * Reads the manifest of the template in a directory.
 * @throws NexusError `invalid_request` that names what is wrong with it.
 */
export async function readManifest(directory: string): Promise<Manifest> {
  const text = await readPlainFile(join(directory, manifestName)).catch((error: unknown) => {
    throw new NexusError("invalid_request", `${directory} has no ${manifestName} that can be read.`, { cause: error });
  });
  return parseOrThrow(manifestSchema, parseYaml(text), "invalid_request", manifestName);
}

/** A link in somebody else's repository may lead to anything, a pipe or a device never ends. */
async function readPlainFile(file: string): Promise<string> {
  const found = await lstat(file);
  if (!found.isFile() || found.size > manifestBytesMax) throw new Error("no file, or too large");
  return await readFile(file, "utf8");
}

function parseYaml(text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw new NexusError("invalid_request", `${manifestName} is no YAML: ${describeError(error)}`, { cause: error });
  }
}

/** Every combination that a template makes. */
export function combinationsOf(manifest: Manifest): readonly Combination[] {
  return manifest.domains
    .flatMap((domain) => manifest.modes.map((mode) => ({ domain, mode })))
    .filter((combination) => whyNot(manifest, combination) === undefined);
}

/** Why a template does not make a combination, or undefined when it does. */
export function whyNot(manifest: Manifest, { domain, mode }: Combination): string | undefined {
  const { name, domains, modes, without } = manifest;
  if (!domains.includes(domain)) return `${name} makes no services for ${domain}, but for ${domains.join(", ")}`;
  if (!modes.includes(mode)) return `${name} knows no mode ${mode}, but ${modes.join(", ")}`;
  return without.find((one) => one.domain === domain && one.mode === mode)?.because;
}
