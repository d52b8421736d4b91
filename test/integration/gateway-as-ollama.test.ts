import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Ollama } from "ollama";
import { NexusError } from "../../src/base/errors.ts";
import { attachHarness } from "../support/attach.ts";
import { startTestGateway } from "../support/gateway.ts";

async function startGateway(t: TestContext, auth: "keys" | "none") {
  const gateway = await startTestGateway({ auth });
  t.after(() => gateway.close());
  return gateway;
}

// proves: clients.ollama
test("Ollama's command line finds its server at the gateway's root, without a key", async (t) => {
  const { url } = await startGateway(t, "keys");
  for (const method of ["GET", "HEAD"]) {
    const answer = await fetch(`${url}/`, { method });
    assert.equal(answer.status, 200);
    assert.equal(await answer.text(), method === "GET" ? "Ollama is running" : "");
  }
  assert.equal((await fetch(`${url}/no-such-page`)).status, 404, "the root is no prefix");
});

// proves: attach.recognises
test("and nobody attaches a gateway as an Ollama server, with keys or without", async (t) => {
  for (const auth of ["keys", "none"] as const) {
    const { url } = await startGateway(t, auth);
    if (auth === "none") assert.deepEqual((await new Ollama({ host: url }).list()).models, []);
    const { attacher } = attachHarness(t);
    await assert.rejects(attacher.attach({ url }), (error) => {
      assert.ok(error instanceof NexusError);
      assert.equal(error.code, "conflict", auth);
      assert.match(error.message, /gateway of Nexus/);
      return true;
    });
  }
});
