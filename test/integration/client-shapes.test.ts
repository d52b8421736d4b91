import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startTestGateway, type TestGateway } from "../support/gateway.ts";

// proves: clients.error-shapes
describe("an error is in the shape of the API that its address belongs to", { timeout: 60_000 }, () => {
  let gateway: TestGateway;
  before(async () => {
    gateway = await startTestGateway();
  });
  after(() => gateway?.close());

  const shapeOf = (body: Record<string, unknown>): string => {
    if (typeof body.error === "string") return "ollama";
    if (body.type === "error") return "anthropic";
    const { error } = body as { error?: { code?: unknown } };
    return typeof error?.code === "string" ? "openai" : JSON.stringify(body);
  };
  const anthropic = { "anthropic-version": "2023-06-01" };
  const asked = [
    ["GET", "/api/blobs/sha256:1", 404, "ollama"],
    ["POST", "/api/pull", 404, "ollama"],
    ["GET", "/api", 404, "ollama"],
    ["GET", "/api/chat", 405, "ollama"],
    ["DELETE", "/", 405, "ollama"],
    ["GET", "/v1/messages/batches", 404, "anthropic"],
    ["GET", "/v1/messages", 405, "anthropic"],
    ["POST", "/v1/models", 405, "openai"],
    ["POST", "/v1/models", 405, "anthropic", anthropic],
    ["GET", "/v1/models/none", 404, "anthropic", anthropic],
    ["GET", "/v1/models/none", 404, "openai"],
    ["GET", "/apiary", 404, "openai"],
    ["GET", "/v1/nothing", 404, "openai", anthropic],
  ] as const;

  for (const [method, path, status, shape, headers = {}] of asked) {
    const who = Object.keys(headers).length > 0 ? " of Anthropic's client" : "";
    it(`${method} ${path}${who}: ${status} in the shape of ${shape}`, async () => {
      const answer = await gateway.fetch(path, { method, headers });
      assert.equal(answer.status, status);
      assert.equal(shapeOf((await answer.json()) as Record<string, unknown>), shape);
      assert.equal(answer.headers.has("request-id"), shape === "anthropic");
    });
  }

  it("a wrong key, too", async () => {
    const headers = { authorization: "Bearer nxs_wrong" };
    const answers = await Promise.all(
      ["/api/tags", "/v1/messages/count_tokens"].map((path) =>
        gateway.fetch(path, { headers, method: path.startsWith("/api") ? "GET" : "POST" }),
      ),
    );
    const shapes = await Promise.all(
      answers.map(async (answer) => [answer.status, shapeOf((await answer.json()) as Record<string, unknown>)]),
    );
    assert.deepEqual(shapes, [
      [401, "ollama"],
      [401, "anthropic"],
    ]);
  });
});
