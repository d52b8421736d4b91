import { listTemplates as findTemplates, openTemplate } from "../../scaffold/find-template.ts";
import { lintTemplate as lint } from "../../scaffold/lint-template.ts";
import { combinationsOf } from "../../scaffold/manifest.ts";
import { exitCodes } from "../exit-codes.ts";
import type { JsonFlag } from "../flags.ts";
import { printable } from "../terminal.ts";
import type { Verb } from "../verb.ts";
import { checkoutOf } from "./create.ts";

/** `nexus templates ls` */
export const listTemplates: Verb<JsonFlag, []> = async ({ context }) => {
  const templates = await findTemplates(checkoutOf(context));
  const rows = templates.map(({ directory, manifest }) => ({
    name: manifest.name,
    title: manifest.title,
    language: manifest.language,
    modes: manifest.modes,
    domains: manifest.domains,
    combinations: combinationsOf(manifest).length,
    directory,
  }));
  return {
    json: { templates: rows },
    text: context.terminal.table(
      rows.map(({ name, combinations, modes, title }) => [name, String(combinations), modes.join(" "), title]),
      ["NAME", "SERVICES", "MODES", "WHAT IT IS"],
    ),
  };
};

/** `nexus templates lint SOURCE`: status 1 when something is wrong. */
export const lintTemplate: Verb<JsonFlag, [source: string]> = async ({ context }, _flags, source) => {
  const { environment, workingDirectory, interrupts, version, terminal } = context;
  const nexus = checkoutOf(context);
  const template = await openTemplate({ source, nexus, workingDirectory, environment, signal: interrupts.signal });
  const { combinations, files, problems } = await lint(template, version);
  const isGood = problems.length === 0;
  const verdict = `${template.manifest.name}: ${combinations.length} combinations, ${files} different files, ${problems.length} problems`;
  return {
    json: { template: template.manifest.name, ok: isGood, combinations, files, problems },
    text: [
      ...problems.map(
        ({ where, problem }) => `${terminal.paint("red", "✗")} ${printable(where)}: ${printable(problem)}`,
      ),
      terminal.paint(isGood ? "green" : "red", verdict),
    ],
    exitCode: isGood ? exitCodes.ok : exitCodes.failed,
  };
};
