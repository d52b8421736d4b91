import assert from "node:assert/strict";
import { test } from "node:test";
import { start } from "./start.ts";

test("the tool counts words", { timeout: 20_000 }, async (t) => {
  const url = await start(t);
  const answer = await fetch(`${url}/v1/tools/call`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "{{name}}", arguments: { text: "one two three" } }),
  });
  assert.equal(answer.status, 200);
  const { structuredContent } = (await answer.json()) as { structuredContent: unknown };
  assert.deepEqual(structuredContent, { words: 3, characters: 13 });
});
