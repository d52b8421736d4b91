import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { makeRecord } from "../../test/support/records.ts";
import { jsonSchemas, renderJsonSchema } from "./generate-json-schemas.ts";

const directory = new URL("../../contract/", import.meta.url);

// proves: contract.json-schemas
test("the files under contract/ are those that the schemas give: run `npm run schema` after a change", async () => {
  const schemas = jsonSchemas();
  assert.deepEqual((await readdir(directory)).sort(), Object.keys(schemas).sort());
  for (const [name, schema] of Object.entries(schemas)) {
    assert.equal(await readFile(new URL(name, directory), "utf8"), renderJsonSchema(schema), name);
  }
});

test("they are JSON Schemas that hold a good record and refuse a bad one", () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  for (const schema of Object.values(jsonSchemas())) assert.ok(ajv.compile(schema));
  const schema = jsonSchemas()["instance-record.schema.json"];
  assert.ok(schema);
  const holds = ajv.getSchema("urn:nexus:contract:v1:instance-record") ?? ajv.compile(schema);
  const record = makeRecord();
  assert.equal(holds(record), true, JSON.stringify(holds.errors));
  assert.equal(holds({ ...record, service: "Not A Name" }), false);
  assert.equal(holds({ ...record, metadata: { ...record.metadata, schema_version: "2.0" } }), false);
});
