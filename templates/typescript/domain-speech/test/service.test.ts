import assert from "node:assert/strict";
import { test } from "node:test";
import { start } from "./start.ts";

test("a text becomes sound, half as long at double speed", { timeout: 20_000 }, async (t) => {
  const url = await start(t);
  const speak = async (speed: number): Promise<Buffer> => {
    const answer = await fetch(`${url}/v1/audio/speech`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "{{name}}", voice: "default", input: "Hello there.", speed }),
    });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("content-type"), "audio/wav");
    return Buffer.from(await answer.arrayBuffer());
  };
  const [slow, fast] = [await speak(1), await speak(2)];
  assert.equal(slow.toString("latin1", 0, 4), "RIFF");
  assert.equal(slow.length - 44, (fast.length - 44) * 2);
});
