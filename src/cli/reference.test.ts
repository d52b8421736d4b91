import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { buildCli, verbGroups } from "./app.ts";
import { exitCodeMeanings, exitCodes } from "./exit-codes.ts";
import { renderCliReference } from "./reference.ts";

test("docs/reference/cli.md is what the verbs say; `npm run schema` writes it", async () => {
  const page = await readFile(new URL("../../docs/reference/cli.md", import.meta.url), "utf8");
  assert.equal(page, renderCliReference());
});

// proves: cli.exit-codes
test("every verb is in a group of the help, and every exit status has a meaning", () => {
  const { root } = buildCli();
  const verbs = "getAllEntries" in root ? root.getAllEntries().map((entry) => entry.name.original) : [];
  assert.deepEqual(Object.values(verbGroups).flat().toSorted(), verbs.toSorted());
  assert.deepEqual(Object.keys(exitCodeMeanings).map(Number), Object.values(exitCodes));
});
