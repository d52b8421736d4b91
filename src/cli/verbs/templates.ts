import { NexusError } from "../../base/errors.ts";
import { listTemplates as findTemplates, openTemplate } from "../../scaffold/find-template.ts";
import { lintTemplate as lint, unreadable } from "../../scaffold/lint-template.ts";
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
  const wanted = { source, nexus: checkoutOf(context), workingDirectory, environment, signal: interrupts.signal };
  const report = await openTemplate(wanted).then(
    (template) => lint(template, version),
    (error: unknown) => {
      if (error instanceof NexusError && error.code === "invalid_request") return unreadable(source, error);
      throw error;
    },
  );
  const { combinations, files, problems } = report;
  const isGood = problems.length === 0;
  const verdict = `${source}: ${combinations.length} combinations, ${files} different files, ${problems.length} problems`;
  return {
    json: { template: source, ok: isGood, combinations, files, problems },
    text: [
      ...problems.map(
        ({ where, problem }) => `${terminal.paint("red", "✗")} ${printable(where)}: ${printable(problem)}`,
      ),
      terminal.paint(isGood ? "green" : "red", verdict),
    ],
    exitCode: isGood ? exitCodes.ok : exitCodes.failed,
  };
};
