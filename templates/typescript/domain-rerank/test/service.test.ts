import assert from "node:assert/strict";
import { test } from "node:test";
import { start } from "./start.ts";

test("the document that answers the query comes first", { timeout: 20_000 }, async (t) => {
  const url = await start(t);
  const documents = ["Bread is made of flour.", "Paris is the capital of France."];
  const answer = await fetch(`${url}/v1/rerank`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "{{name}}", query: "the capital of France", documents }),
  });
  assert.equal(answer.status, 200);
  const { results } = (await answer.json()) as { results: { index: number }[] };
  assert.deepEqual(
    results.map(({ index }) => index),
    [1, 0],
  );
});
