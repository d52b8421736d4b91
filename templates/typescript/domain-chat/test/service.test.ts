import assert from "node:assert/strict";
import { test } from "node:test";
import { start } from "./start.ts";

const messages = [{ role: "user", content: "green grass" }];

test("a chat is answered", { timeout: 20_000 }, async (t) => {
  const url = await start(t);
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "{{name}}", messages, max_tokens: 3 }),
  });
  assert.equal(answer.status, 200);
  const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] };
  assert.equal(choices[0]?.message.content, "green grass green");
});
