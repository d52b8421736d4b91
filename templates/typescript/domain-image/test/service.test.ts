import assert from "node:assert/strict";
import { test } from "node:test";
import { start } from "./start.ts";

test("a text becomes a picture of the size that is asked for", { timeout: 20_000 }, async (t) => {
  const url = await start(t);
  const answer = await fetch(`${url}/v1/images/generations`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "{{name}}", prompt: "a lighthouse", size: "64x32" }),
  });
  assert.equal(answer.status, 200);
  const { data } = (await answer.json()) as { data: { b64_json: string }[] };
  const picture = Buffer.from(data[0]?.b64_json ?? "", "base64");
  assert.equal(picture.toString("latin1", 1, 4), "PNG");
  assert.deepEqual([picture.readUInt32BE(16), picture.readUInt32BE(20)], [64, 32]);
});
