import type { Readable, Writable } from "node:stream";
import { isCancel, select, text } from "@clack/prompts";
import type { TemplateDomain, TemplateMode } from "../scaffold/combination.ts";
import type { BuiltinTemplate } from "../scaffold/find-template.ts";
import { type Manifest, whyNot } from "../scaffold/manifest.ts";
import type { CliContext } from "./context.ts";

const aboutModes: Readonly<Record<TemplateMode, string>> = {
  native: "you write the handler",
  upstream: "an HTTP server that exists does the work",
  command: "a program runs for each request",
};

const aboutDomains: Readonly<Record<TemplateDomain, string>> = {
  chat: "answers conversations",
  embedding: "turns texts into vectors",
  image: "makes pictures",
  speech: "speaks texts",
  transcription: "writes down what is said",
  ocr: "reads documents and pictures",
  video: "makes films",
  music: "makes music",
  rerank: "orders documents by a query",
  moderation: "judges texts",
  tool: "does something for agents",
};

/** What has been said already is not asked. */
interface Said {
  readonly domain?: TemplateDomain;
  readonly mode?: TemplateMode;
  readonly port?: number;
}

const portOtherwise = 8810;

/** Which built-in template to use. Throws an `AbortError` when the person would rather not. */
export async function askLanguage(context: CliContext, templates: readonly BuiltinTemplate[]): Promise<string> {
  const options = templates
    .map(({ manifest }) => ({ value: manifest.name, label: manifest.language, hint: manifest.title }))
    .reverse();
  return answered(await select({ ...streams(context), message: "Which language?", options }));
}

/** Asks for what nobody has said, as far as the template leaves a choice. Throws an `AbortError` when cancelled. */
export async function askService(context: CliContext, manifest: Manifest, said: Said): Promise<Said> {
  const domain = said.domain ?? (await askDomain(context, manifest));
  const modes = manifest.modes.filter((mode) => whyNot(manifest, { domain, mode }) === undefined);
  const mode = said.mode ?? (await askMode(context, modes));
  return { domain, mode, port: said.port ?? (await askPort(context)) };
}

async function askDomain(context: CliContext, { domains }: Manifest): Promise<TemplateDomain> {
  const options = domains.map((value) => ({ value, label: value, hint: aboutDomains[value] }));
  return answered(await select<TemplateDomain>({ ...streams(context), message: "What is it for?", options }));
}

async function askMode(context: CliContext, modes: readonly TemplateMode[]): Promise<TemplateMode> {
  const options = modes.map((value) => ({ value, label: value, hint: aboutModes[value] }));
  return answered(await select<TemplateMode>({ ...streams(context), message: "Who does the work?", options }));
}

async function askPort(context: CliContext): Promise<number> {
  const answer = await text({
    ...streams(context),
    message: "Which port?",
    defaultValue: String(portOtherwise),
    placeholder: String(portOtherwise),
    validate: (value = "") =>
      value === "" || (/^\d{1,5}$/.test(value) && Number(value) >= 1 && Number(value) <= 65_535)
        ? undefined
        : "A whole number from 1 to 65535",
  });
  return Number(answered(answer));
}

function streams({ stdin, stdout, interrupts }: CliContext) {
  return { input: stdin as Readable, output: stdout as Writable, signal: interrupts.signal };
}

function answered<T>(answer: T): Exclude<T, symbol> {
  if (isCancel(answer)) throw Object.assign(new Error("Nothing was written."), { name: "AbortError" });
  return answer as Exclude<T, symbol>;
}
