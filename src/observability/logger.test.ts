import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, type LogLevel } from "./logger.ts";

function captured(level?: LogLevel) {
  const lines: Record<string, unknown>[] = [];
  let text = "";
  const destination = {
    write(line: string) {
      text += line;
      lines.push(JSON.parse(line));
    },
  };
  const log = createLogger({ destination, fields: { service: "llm" }, ...(level === undefined ? {} : { level }) });
  return { log, lines, text: () => text };
}

test("a line carries level, time, the logger's fields, its children's and its own", () => {
  const { log, lines } = captured();
  log.child({ request_id: "req_1" }).warn({ status: 503 }, "request completed");
  const [line] = lines;
  assert.equal(typeof line?.time === "string" && new Date(line.time).toISOString(), line?.time);
  assert.deepEqual(
    { ...line, time: undefined },
    {
      level: "warn",
      time: undefined,
      service: "llm",
      request_id: "req_1",
      status: 503,
      message: "request completed",
    },
  );
});

test("lines below the level are not written", () => {
  const { log, lines } = captured("warn");
  log.info({}, "quiet");
  log.error({}, "loud");
  assert.deepEqual(
    lines.map((line) => line.message),
    ["loud"],
  );
  const none = captured("silent");
  none.log.error({}, "nothing");
  assert.equal(none.lines.length, 0);
});

test("secrets reach no line: not by name, not in a text, not in an error, not in a child's fields", () => {
  const { log, text, lines } = captured();
  const secret = "sk-0123456789abcdef";
  const ownKey = "nxs_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  const cause = new Error(`upstream refused authorization: Bearer abc.def-ghi and ${secret}`);
  log
    .child({ headers: { Authorization: `Bearer ${secret}`, "X-Api-Key": secret } })
    .error({ apiKey: secret, nested: [{ deep: { token: secret } }], error: new Error("failed", { cause }) }, secret);
  log.warn({ header: `x: ${ownKey}` }, `somebody sent ${ownKey}`);
  assert.ok(!text().includes(secret));
  assert.ok(!text().includes(ownKey));
  assert.ok(!text().includes("abc.def-ghi"));
  assert.equal(lines[0]?.apiKey, "[redacted]");
  assert.match(text(), /"message":"failed: upstream refused/);
});

test("counts of tokens and names that merely resemble secrets stay readable", () => {
  const { log, lines } = captured();
  log.info({ prompt_tokens: 12, key: "llm/one", authorization: undefined, token: null }, "usage");
  assert.equal(lines[0]?.prompt_tokens, 12);
  assert.equal(lines[0]?.key, "llm/one");
  assert.equal(lines[0]?.token, null);
});

test("cycles, buffers and big integers cost no exception", () => {
  const { log, lines } = captured();
  const cycle: Record<string, unknown> = { bytes: Buffer.from("secret prompt"), big: 2n ** 70n };
  cycle.self = cycle;
  log.info({ cycle }, "odd");
  const line = lines[0]?.cycle as Record<string, unknown>;
  assert.equal(line.bytes, "[bytes]");
  assert.equal(line.big, String(2n ** 70n));
});
