import assert from "node:assert/strict";
import { test } from "node:test";
import { start } from "./start.ts";

test("what is harmful is flagged, and nothing else", { timeout: 20_000 }, async (t) => {
  const url = await start(t);
  const answer = await fetch(`${url}/v1/moderations`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "{{name}}", input: ["I like cats.", "They planned an attack."] }),
  });
  assert.equal(answer.status, 200);
  const { results } = (await answer.json()) as { results: { flagged: boolean }[] };
  assert.deepEqual(
    results.map(({ flagged }) => flagged),
    [false, true],
  );
});
