/** Writes everything that is generated from the code: `npm run schema`. `.ci/run` fails when that changes a file. */
import { fileURLToPath } from "node:url";
import { writeGenerated } from "../src/config/generate.ts";
import { writeJsonSchemas } from "../src/contract/generate-json-schemas.ts";

const root = new URL("..", import.meta.url);
await writeGenerated(root);
await writeJsonSchemas(fileURLToPath(new URL("contract", root)));
