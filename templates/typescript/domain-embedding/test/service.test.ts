import assert from "node:assert/strict";
import { test } from "node:test";
import { start } from "./start.ts";

const input = ["a cat sleeps", "the cat sleeps", "boats need wind"];

test("related texts are nearer to each other than others", { timeout: 20_000 }, async (t) => {
  const url = await start(t);
  const answer = await fetch(`${url}/v1/embeddings`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "{{name}}", input }),
  });
  assert.equal(answer.status, 200);
  const { data } = (await answer.json()) as { data: { embedding: number[] }[] };
  const [one = [], other = [], stranger = []] = data.map(({ embedding }) => embedding);
  assert.ok(dot(one, other) > dot(one, stranger));
});

function dot(one: readonly number[], other: readonly number[]): number {
  return one.reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0);
}
