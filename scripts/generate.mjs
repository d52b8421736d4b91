/** Writes everything that is generated from the code: `npm run schema`. `.ci/run` fails when that changes a file. */
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { renderCliReference } from "../src/cli/reference.ts";
import { writeGenerated } from "../src/config/generate.ts";
import { writeJsonSchemas } from "../src/contract/generate-json-schemas.ts";

const root = new URL("..", import.meta.url);
await writeGenerated(root);
await writeJsonSchemas(fileURLToPath(new URL("contract", root)));
await writeFile(new URL("docs/reference/cli.md", root), renderCliReference());
