import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { type ConfigKey, listConfigKeys, toJsonSchema } from "./config-keys.ts";
import { environmentLocations, environmentOverrides } from "./environment.ts";
import { renderErrors } from "./render-errors.ts";
import { renderOperations } from "./render-operations.ts";
import { restartKeys } from "./restart-keys.ts";
import { configSchema } from "./schema.ts";

/** What is generated from the schema, by its path in the repository. */
export const generatedFiles: Readonly<Record<string, () => string>> = {
  "nexus.schema.json": renderSchema,
  "docs/reference/config.md": renderReference,
  "docs/reference/errors.md": renderErrors,
  "docs/reference/operations.md": renderOperations,
};

/** `nexus.schema.json`, for editors: `# yaml-language-server: $schema=nexus.schema.json`. */
export function renderSchema(): string {
  return `${JSON.stringify({ ...toJsonSchema(configSchema), title: "Configuration of Nexus" }, null, 2)}\n`;
}

/** `docs/reference/config.md`. */
export function renderReference(): string {
  const keys = listConfigKeys(toJsonSchema(configSchema));
  const groups = Map.groupBy(keys, (key) => key.path.split(/[.[]/)[0] ?? "");
  const sections = [...groups].map(([name, members]) => `## \`${name}\`\n\n${members.map(renderKey).join("\n")}`);
  return `# Configuration

Generated from the schema by \`npm run schema\`.

Nexus needs no configuration file. It reads the one that \`--config\` or \`NEXUS_CONFIG\` names, else \`nexus.yaml\` in the data
directory, else \`nexus.yaml\` in the working directory. The environment stands above the file, flags stand above the environment.
\`nexus config show\` prints what is in force and where each value comes from, \`nexus config validate\` checks a file,
\`nexus config explain KEY\` describes a key. \`nexus.example.yaml\` is a file with every key in it. The file is followed while Nexus
runs: see [the guide](../guides/configuration.md).

The file is followed, and a change of it holds without a restart, where a key doesn't say that it takes one:
[Changing the configuration while Nexus runs](../guides/configuration.md).

An unknown key is refused, with the one that was probably meant. Secrets are given by reference, \`env:NAME\`,
\`file:/absolute/path\` or, for the keys of servers, \`command:LINE\`, never as such. Relative paths are meant from where the file is.

## Environment

| Variable | Sets | Meaning |
|---|---|---|
${environmentOverrides.map(({ name, path, meaning }) => `| \`${name}\` | \`${path.join(".")}\` | ${meaning} |`).join("\n")}
${Object.entries(environmentLocations)
  .map(([name, meaning]) => `| \`${name}\` | | ${meaning} |`)
  .join("\n")}

${sections.join("\n\n")}
`;
}

function renderKey({ path, type, description, default: fallback, required }: ConfigKey): string {
  const rest = [
    ...(required ? ["required"] : fallback === undefined ? [] : [`default \`${JSON.stringify(fallback)}\``]),
    ...(takesRestart(path) ? ["a change takes a restart"] : []),
  ];
  const text = description === "" ? "" : `  \n  ${description}`;
  return `- **\`${path}\`**: ${[type, ...rest].join("; ")}${text}`;
}

function takesRestart(path: string): boolean {
  return restartKeys.some((each) => `${path}.`.startsWith(`${each.path.join(".")}.`));
}

/** Writes what has changed. Resolves to the paths that were written. */
export async function writeGenerated(root: URL): Promise<string[]> {
  const written: string[] = [];
  for (const [path, render] of Object.entries(generatedFiles)) {
    const file = fileURLToPath(new URL(path, root));
    const text = render();
    if ((await readFile(file, "utf8").catch(() => "")) === text) continue;
    await writeFile(file, text);
    written.push(path);
  }
  return written;
}
