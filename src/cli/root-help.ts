import type { Application } from "@stricli/core";
import { verbGroups } from "./app.ts";
import type { CliContext } from "./context.ts";

type Root = Application<CliContext>["root"];

/** `nexus help`: every verb in one line, in groups. */
export function rootHelp(root: Root): string[] {
  const briefs = new Map(
    "getAllEntries" in root ? root.getAllEntries().map((entry) => [entry.name.original, entry.target.brief]) : [],
  );
  const width =
    Math.max(
      ...Object.values(verbGroups)
        .flat()
        .map((verb) => verb.length),
    ) + 2;
  const groups = Object.entries(verbGroups).flatMap(([title, verbs]) => [
    "",
    `${title}:`,
    ...verbs.map((verb) => `  ${verb.padEnd(width)}${briefs.get(verb) ?? ""}`),
  ]);
  return [
    `Nexus ${root.brief.charAt(0).toLowerCase()}${root.brief.slice(1)}`,
    "",
    "Usage: nexus VERB [flags]",
    ...groups,
    "",
    "`nexus help VERB` tells more. Every verb takes --json.",
  ];
}
