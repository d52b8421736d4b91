import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { errorAnswerSchema } from "./conformance/answer-shapes.ts";
import { healthSchema, readinessSchema } from "./health.ts";
import { instanceRecordSchema, policySchema } from "./instance-record.ts";
import { descriptorSchema, metadataSchema } from "./metadata.ts";

/** What each document of the contract looks like, for those who write it in other languages. */
const documents = {
  health: { schema: healthSchema, title: "GET /health" },
  readiness: { schema: readinessSchema, title: "GET /readyz" },
  metadata: { schema: metadataSchema, title: "GET /v1/metadata" },
  descriptor: { schema: descriptorSchema, title: "GET /v1/descriptor" },
  error: { schema: errorAnswerSchema, title: "The body of every error" },
  "instance-record": { schema: instanceRecordSchema, title: "What the registry keeps of one instance" },
  policy: { schema: policySchema, title: "What the registry keeps of the operator's wishes" },
} as const;

/**
 * The contract as JSON Schema 2020-12, by file name. Describes what a service has to send: fields that have a default
 * are optional. Rules between fields are no part of a JSON Schema; the specification has them in words.
 */
export function jsonSchemas(): Readonly<Record<string, object>> {
  const entries = Object.entries(documents).map(([name, { schema, title }]) => {
    const { $schema, ...body } = z.toJSONSchema(schema, { target: "draft-2020-12", io: "input" });
    return [`${name}.schema.json`, { $schema, $id: `urn:nexus:contract:v1:${name}`, title, ...body }];
  });
  return Object.fromEntries(entries);
}

/** Writes all of them into a directory, which is made when it is not there. */
export async function writeJsonSchemas(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const [name, schema] of Object.entries(jsonSchemas())) {
    await writeFile(join(directory, name), renderJsonSchema(schema));
  }
}

/** As the files hold it: two spaces, a newline at the end. */
export function renderJsonSchema(schema: object): string {
  return `${JSON.stringify(schema, null, 2)}\n`;
}
