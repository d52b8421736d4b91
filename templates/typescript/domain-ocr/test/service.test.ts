import assert from "node:assert/strict";
import { test } from "node:test";
import { start } from "./start.ts";

/** One pixel. */
const picture =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

test("a picture is read as one page", { timeout: 20_000 }, async (t) => {
  const url = await start(t);
  const answer = await fetch(`${url}/v1/ocr`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "{{name}}", document: { type: "image_url", image_url: picture } }),
  });
  assert.equal(answer.status, 200);
  const { pages } = (await answer.json()) as { pages: { markdown: string }[] };
  assert.deepEqual(
    pages.map(({ markdown }) => markdown),
    ["A document of type image/png: 1 by 1 pixels."],
  );
});
