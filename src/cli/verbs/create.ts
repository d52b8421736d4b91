import { realpathSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { findProgram } from "../../base/find-program.ts";
import { nameSchema } from "../../contract/metadata.ts";
import type { TemplateDomain, TemplateMode } from "../../scaffold/combination.ts";
import { type BuiltinTemplate, listTemplates, openTemplate } from "../../scaffold/find-template.ts";
import { planService, type ServicePlan } from "../../scaffold/plan-service.ts";
import { conflictsOf, writeService } from "../../scaffold/write-service.ts";
import { usageError } from "../cli-error.ts";
import type { CliContext } from "../context.ts";
import type { JsonFlag } from "../flags.ts";
import type { Palette } from "../terminal.ts";
import type { Answer, Verb } from "../verb.ts";

export interface CreateFlags extends JsonFlag {
  readonly domain?: TemplateDomain;
  readonly mode?: TemplateMode;
  readonly language?: string;
  readonly port?: number;
  readonly template?: string;
  readonly directory?: string;
  readonly interactive?: boolean;
  readonly dryRun?: boolean;
  readonly overwrite?: boolean;
}

const otherwise = { language: "typescript", mode: "native", port: 8810 } as const;

/** `nexus create service NAME` */
export const createService: Verb<CreateFlags, [name: string]> = async ({ context }, flags, name) => {
  checkName(name);
  const nexus = checkoutOf(context);
  const mayAsk = flags.interactive !== false && flags.json !== true && context.terminal.isInteractive;
  const language = await chooseLanguage(context, flags, { nexus, mayAsk });
  const { environment, workingDirectory, interrupts } = context;
  const source = flags.template ?? language;
  const template = await openTemplate({ source, nexus, workingDirectory, environment, signal: interrupts.signal });
  const answers = mayAsk
    ? await (await import("../ask-service.ts")).askService(context, template.manifest, flags)
    : flags;
  const { domain, mode = otherwise.mode, port = otherwise.port } = answers;
  if (domain === undefined) {
    throw usageError("Say what the service is for: --domain.", `One of ${template.manifest.domains.join(", ")}`);
  }
  const directory = resolve(workingDirectory, flags.directory ?? defaultDirectory(context, nexus, name));
  const surroundings = { directory, nexus, nexusVersion: context.version };
  const plan = planService(template, { name, domain, mode, port }, surroundings);
  const conflicts = await conflictsOf(plan);
  if (flags.dryRun !== true) await writeService(plan, { nexus, overwrite: flags.overwrite === true });
  return report(context, plan, { name, domain, mode, port, conflicts, isWritten: flags.dryRun !== true });
};

function checkName(name: string): void {
  if (nameSchema.safeParse(name).success) return;
  throw usageError(`'${name}' is no name for a service.`, "Lower-case letters, digits, '.', '_' and '-', at most 63.");
}

/** The checkout that this program runs from. */
export function checkoutOf({ entry }: CliContext): string {
  return resolve(dirname(entry), "..");
}

interface LanguageChoice {
  readonly nexus: string;
  readonly mayAsk: boolean;
}

/** The name of the built-in template for the language that is wanted. Not looked at when there is a template. */
async function chooseLanguage(context: CliContext, flags: CreateFlags, choice: LanguageChoice): Promise<string> {
  if (flags.template !== undefined) return "";
  const builtin = await listTemplates(choice.nexus);
  const named = (language: string): BuiltinTemplate | undefined =>
    builtin.find(({ manifest }) => manifest.language === language);
  if (flags.language === undefined && choice.mayAsk) {
    return await (await import("../ask-service.ts")).askLanguage(context, builtin);
  }
  const wanted = flags.language ?? otherwise.language;
  const found = named(wanted);
  if (found !== undefined) return found.manifest.name;
  const languages = [...new Set(builtin.map(({ manifest }) => manifest.language))];
  throw usageError(`There is no template for ${wanted}.`, `There are ${languages.join(" and ")}, and --template.`);
}

function defaultDirectory({ workingDirectory }: CliContext, nexus: string, name: string): string {
  return workingDirectory === nexus ? join("services", name) : name;
}

interface Made {
  readonly name: string;
  readonly domain: TemplateDomain;
  readonly mode: TemplateMode;
  readonly port: number;
  readonly conflicts: readonly string[];
  readonly isWritten: boolean;
}

function report(context: CliContext, plan: ServicePlan, made: Made): Answer {
  const { paint } = context.terminal;
  const { conflicts, isWritten, ...choice } = made;
  const steps = isWritten ? [...nextSteps(context, plan, made), ""] : [];
  return {
    json: {
      ...choice,
      directory: plan.directory,
      files: plan.files.map(({ path }) => path),
      conflicts,
      written: isWritten,
      next: plan.next,
    },
    text: [
      paint("bold", `${relative(context.workingDirectory, plan.directory) || "."}/`),
      ...treeOf(
        plan.files.map(({ path }) => path),
        new Set(conflicts),
        paint,
      ),
      "",
      `${plan.files.length} files${isWritten ? "" : ", nothing written"}.`,
      ...(isWritten ? ["", ...steps] : []),
    ],
  };
}

function nextSteps(
  { workingDirectory, environment }: CliContext,
  plan: ServicePlan,
  { port }: Made,
): readonly string[] {
  // What started this verb may have brought its own Node: then the shell's is another one, perhaps too old.
  const theirs = findProgram("node", { path: environment.PATH ?? "" });
  const isSame = theirs !== undefined && realpathSync(theirs) === realpathSync(process.execPath);
  return [
    "Next:",
    `  cd ${shellWord(relative(workingDirectory, plan.directory) || ".")}`,
    ...(isSame ? [] : [`  export PATH=${shellWord(dirname(process.execPath))}:$PATH`]),
    ...plan.next.map((line) => `  ${line}`),
    `  nexus check http://127.0.0.1:${port}`,
  ];
}

/** One word for a shell, which reads spaces and much else in another way. */
function shellWord(text: string): string {
  return /^[\w./@:+][\w./@:+-]*$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Paths as a tree; what would be replaced is marked. */
export function treeOf(paths: readonly string[], marked: ReadonlySet<string>, paint: Palette): readonly string[] {
  const lines: string[] = [];
  let open: readonly string[] = [];
  for (const path of paths) {
    const segments = path.split("/");
    const folders = segments.slice(0, -1);
    folders.forEach((folder, depth) => {
      const isOpen = folders.slice(0, depth + 1).join("/") === open.slice(0, depth + 1).join("/");
      if (!isOpen) lines.push(`${"  ".repeat(depth + 1)}${folder}/`);
    });
    const mark = marked.has(path) ? paint("yellow", "  is there and differs") : "";
    lines.push(`${"  ".repeat(segments.length)}${segments.at(-1)}${mark}`);
    open = folders;
  }
  return lines;
}
