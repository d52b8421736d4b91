import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { NexusError } from "../../src/base/errors.ts";
import { scanRequest } from "../../src/openai/scan-request.ts";
import { startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway } from "../support/gateway.ts";
import { type Random, randomFrom } from "../support/random.ts";
import { scenarioMs, sized } from "../support/size.ts";

/** Pieces that JSON readers stumble over: they are put together and cut apart at random. */
const pieces: readonly string[] = [
  '"model"',
  '"mod\\u0065l"',
  '"MODEL"',
  '"stream"',
  '"tools"',
  '"messages"',
  '"response_format"',
  '"a"',
  '""',
  '"tiny"',
  '"\\ud83d\\ude00"',
  '"\\ud800"',
  '"\\u0000"',
  '"\\/"',
  '"\\x"',
  '"\t"',
  '"\u2028"',
  '"é"',
  "true",
  "false",
  "null",
  "0",
  "-0",
  "1e999",
  "-1E-9",
  "01",
  "1.",
  ".5",
  "+1",
  "0x1",
  "NaN",
  "Infinity",
  "99999999999999999999999999",
  "{",
  "}",
  "[",
  "]",
  ":",
  ",",
  " ",
  "\n",
  "\ufeff",
  "/*x*/",
  "//x\n",
  "'a'",
  '{"__proto__":1}',
  '"__proto__"',
];

const seeds: readonly string[] = [
  '{"model":"tiny","messages":[{"role":"user","content":"hi"}]}',
  '{"model":"tiny","stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"tools":[]}',
  '{"messages":[],"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{}}},"model":"tiny"}',
];

/** A body that is nearly one: a good one with a few bytes changed, or pieces in a row. */
function makeBody(random: Random): Buffer {
  if (random.below(8) === 0) return deep(random);
  let text = random.below(3) === 0 ? "" : random.pick(seeds);
  for (let turn = random.below(6); turn >= 0; turn--) {
    const at = random.below(text.length + 1);
    text = text.slice(0, at) + random.pick(pieces) + text.slice(at + random.below(4));
  }
  const body = Buffer.from(text);
  for (let turn = random.below(3); turn > 0 && body.length > 0; turn--)
    body[random.below(body.length)] = random.below(256);
  return body;
}

function deep(random: Random): Buffer {
  const depth = 1 + random.below(3_000);
  const [open, close] = random.pick([
    ["[", "]"],
    ['{"a":', "}"],
  ] as const);
  return Buffer.from(`{"model":"tiny","messages":${open.repeat(depth)}1${close.repeat(depth - random.below(2))}}`);
}

/** What `JSON.parse` makes of the body, where that decides anything. */
function readPlainly(body: Buffer): Record<string, unknown> | undefined {
  if (!isUtf8(body)) return undefined;
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

// proves: resilience.malformed-bodies
test("R21: the scanner takes nothing that JSON.parse refuses, and reads what it takes as JSON.parse does", {
  timeout: scenarioMs,
}, async () => {
  const random = randomFrom(21);
  let taken = 0;
  for (let turn = 0; turn < sized(200_000, 10_000_000); turn++) {
    // A test that never lets go of its thread cannot say that it is running, and is taken for one that hangs.
    if (turn % 10_000 === 0) await setImmediate();
    const body = makeBody(random);
    try {
      const scan = scanRequest(body);
      const plain = readPlainly(body);
      assert.equal(scan.model, plain?.model, body.toString());
      assert.equal(scan.stream, plain?.stream ?? false, body.toString());
      taken++;
    } catch (error) {
      if (!(error instanceof NexusError)) throw error;
      assert.ok(error.status < 500, `${error.code}: ${body.toString()}`);
    }
  }
  assert.ok(taken > 1_000, `only ${taken} bodies were taken: the test proves little`);
});

// proves: resilience.malformed-bodies
test("R21: no malformed body is answered with a failure of the gateway's own, or not at all", {
  timeout: scenarioMs,
}, async (t) => {
  const backend = await startFakeBackend("nexus");
  t.after(() => backend.close());
  const gateway = await startTestGateway();
  t.after(() => gateway.close());
  gateway.view.set([recordOf(backend)]);
  const random = randomFrom(22);
  const paths = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"];
  const answered = new Map<number, number>();
  for (let turn = 0; turn < sized(100, 20_000); turn++) {
    const batch = Array.from({ length: 10 }, async () => {
      const body = makeBody(random);
      const answer = await fetch(`${gateway.url}${random.pick(paths)}`, {
        method: "POST",
        headers: { authorization: `Bearer ${gateway.key}`, "content-type": "application/json" },
        body: new Uint8Array(body),
      });
      await answer.arrayBuffer();
      answered.set(answer.status, (answered.get(answer.status) ?? 0) + 1);
      // The fake answers 400 to what it does not like; whatever is 500 is ours.
      assert.ok(answer.status < 500, `${answer.status}: ${body.toString()}`);
    });
    await Promise.all(batch);
  }
  assert.ok((answered.get(400) ?? 0) > 0);
  assert.equal(gateway.lines.filter(({ message }) => message === "defect").length, 0);
});
