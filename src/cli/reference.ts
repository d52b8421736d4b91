import { type Application, type CommandContext, generateHelpTextForAllCommands } from "@stricli/core";
import { environmentLocations, environmentOverrides } from "../config/environment.ts";
import { buildCli } from "./app.ts";
import { exitCodeMeanings } from "./exit-codes.ts";
import { rootHelp } from "./root-help.ts";

/** `docs/reference/cli.md`. */
export function renderCliReference(): string {
  const app = buildCli();
  // It reads documentation only and so asks for an application of any context.
  const verbs = generateHelpTextForAllCommands(app as unknown as Application<CommandContext>).map(
    ([route, help]) => `## \`${route}\`\n\n\`\`\`text\n${help.trimEnd()}\n\`\`\``,
  );
  const variables = [
    ...environmentOverrides.map(({ name, meaning }) => [name, meaning] as const),
    ...Object.entries(environmentLocations),
    ["NO_COLOR", "Set to anything, nothing is coloured."] as const,
  ];
  return `# Verbs

Generated from the verbs by \`npm run schema\`.

\`\`\`text
${rootHelp(app.root).join("\n")}
\`\`\`

**Which platform.** A verb finds the running platform by \`--data\`; without it by \`NEXUS_URL\` and \`NEXUS_API_KEY\`, over the
gateway, for which the key needs role \`admin\`, or \`monitor\` for \`nexus status\`; without those in \`NEXUS_DATA\`, else in \`~/.nexus\`. On the platform's own
machine no key is needed: whoever can open the data directory is the operator.

**Output.** Answers go to stdout, everything else to stderr. With \`--json\` exactly one JSON document reaches stdout; an error is
\`{"error": {"message", "type", "code", "param", "hint"?}}\`. Colours and moving lines are for terminals only. Nothing ever asks a
question where there is no terminal.

## Exit status

| Status | Meaning |
|---|---|
${Object.entries(exitCodeMeanings)
  .map(([code, meaning]) => `| ${code} | ${meaning} |`)
  .join("\n")}

## Environment

| Variable | Meaning |
|---|---|
${variables.map(([name, meaning]) => `| \`${name}\` | ${meaning} |`).join("\n")}

${verbs.join("\n\n")}
`;
}
