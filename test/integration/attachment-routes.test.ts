import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import fastify from "fastify";
import { toErrorBody } from "../../src/base/error-body.ts";
import { toNexusError } from "../../src/base/errors.ts";
import { dataPaths } from "../../src/config/paths.ts";
import { attachmentRoutes } from "../../src/control/attachment-routes.ts";
import { type AttachHarness, attachHarness } from "../support/attach.ts";
import { makeDirectory, nexus } from "../support/command-line.ts";

const path = "/v1/nexus/attachments";

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown> & { readonly error?: { readonly code: string; readonly message: string } };
}

/** The routes alone, on a server that nothing listens on yet. */
function serverOf(test: TestContext, { attacher }: AttachHarness) {
  const server = fastify();
  server.setErrorHandler((thrown, _request, reply) => {
    const error = toNexusError(thrown);
    return reply.status(error.status).send(toErrorBody(error));
  });
  attachmentRoutes(attacher)(server);
  test.after(() => server.close());
  return server;
}

function control(test: TestContext, harness: AttachHarness) {
  const server = serverOf(test, harness);
  return async (method: "GET" | "POST" | "DELETE", url: string, payload?: object, headers = {}): Promise<Answer> => {
    const answer = await server.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
    return { status: answer.statusCode, body: answer.json() };
  };
}

describe("the attachment routes", { timeout: 60_000 }, () => {
  it("take no key reference from afar: its content would be sent to the URL beside it", async (test) => {
    const harness = attachHarness(test);
    harness.environment.KEY = "sk-upstream";
    const server = await harness.backend("openai-compatible", { key: "sk-upstream" });
    const relayed = { "x-nexus-relayed": "key_1" };
    const wanted = { url: server.url, key_from: "env:KEY" };
    const refused = await control(test, harness)("POST", path, wanted, relayed);
    assert.equal(refused.status, 403);
    assert.equal(refused.body.error?.code, "permission_denied");
    assert.equal(server.requests.length, 0);
  });

  it("attach, list and detach", async (test) => {
    const harness = attachHarness(test);
    harness.environment.KEY = "sk-upstream";
    const server = await harness.backend("openai-compatible", { key: "sk-upstream" });
    const call = control(test, harness);
    const attached = await call("POST", path, {
      url: `${server.url}/v1`,
      name: "paid",
      labels: { tier: "2" },
      key_from: "env:KEY",
    });
    assert.equal(attached.status, 201);
    const { attached_at, ...rest } = attached.body;
    assert.equal(attached_at, "2026-01-01T00:00:00.000Z");
    assert.deepEqual(rest, {
      name: "paid",
      url: server.url,
      source: "operator",
      dialect: "openai-compatible",
      instance: "openai-compatible/paid",
      state: "ready",
      state_reason: "",
      models: ["some-model", "text-embedding-3-small"],
      labels: { tier: "2" },
      key_from: "env:KEY",
    });
    assert.deepEqual((await call("GET", path)).body, { attachments: [attached.body] });
    assert.deepEqual((await call("DELETE", `${path}/paid`)).body, attached.body);
    assert.deepEqual((await call("GET", path)).body, { attachments: [] });
  });

  // proves: attach.paid
  it("take what costs money and whose turn it is, which lasts until it is said otherwise", async (test) => {
    let harness = attachHarness(test);
    const server = await harness.backend("openai-compatible");
    const labelsAfter = async (wanted: object) => {
      const call = control(test, harness);
      const { status, body } = await call("POST", path, { url: server.url, name: "dear", ...wanted });
      assert.equal(status, 201, JSON.stringify(body));
      await harness.until(() => harness.record("openai-compatible/dear") !== undefined);
      const record = harness.record("openai-compatible/dear");
      assert.deepEqual(record?.labels, body.labels);
      return body.labels;
    };
    assert.deepEqual(await labelsAfter({ paid: true, tier: 2, labels: { zone: "a" } }), {
      zone: "a",
      "nexus.paid": "true",
      "nexus.tier": "2",
    });
    harness = await harness.restart();
    assert.deepEqual(harness.attacher.list()[0]?.labels, { zone: "a", "nexus.paid": "true", "nexus.tier": "2" });
    assert.deepEqual(await labelsAfter({}), { "nexus.paid": "true" });
    assert.deepEqual(await labelsAfter({ paid: false }), {});
  });

  // proves: attach.paid, cli.attach
  it("hear from the verb what costs money, and whose turn it is", async (test) => {
    const harness = attachHarness(test);
    const backend = await harness.backend("openai-compatible");
    const directory = await makeDirectory(test);
    await serverOf(test, harness).listen({ path: dataPaths(directory).controlSocket });
    const attach = async (...flags: string[]) => {
      const { code, stdout, stderr } = await nexus(["attach", backend.url, "--data", directory, ...flags]);
      assert.equal(code, 0, stderr);
      return stdout;
    };
    assert.match(await attach("--paid", "--tier", "3"), /It costs money/);
    const [{ labels } = { labels: {} }] = harness.attacher.list();
    assert.deepEqual(labels, { "nexus.paid": "true", "nexus.tier": "3" });
    assert.match(await attach(), /It costs money/);
    assert.doesNotMatch(await attach("--no-paid"), /It costs money/);
    assert.deepEqual(harness.attacher.list()[0]?.labels, {});
    const help = await nexus(["attach", "--help"]);
    assert.match(help.stdout, /--paid\/--no-paid[\s\S]*--tier/);
  });

  it("answer with the errors of the table", async (test) => {
    const call = control(test, attachHarness(test));
    const cases = [
      [{}, 400, "invalid_request"],
      [{ url: 7 }, 400, "invalid_request"],
      [{ url: "http://127.0.0.1:1", extra: 1 }, 400, "invalid_request"],
      [{ url: "http://127.0.0.1:1", name: "../x" }, 400, "invalid_request"],
      [{ url: "http://127.0.0.1:1", key_from: "sk-naked" }, 400, "invalid_request"],
      [{ url: "http://127.0.0.1:1", tier: 101 }, 400, "invalid_request"],
      [{ url: "http://127.0.0.1:1", paid: "yes" }, 400, "invalid_request"],
      [{ url: "http://127.0.0.1:1" }, 502, "backend_unreachable"],
    ] as const;
    for (const [payload, status, code] of cases) {
      const answer = await call("POST", path, payload);
      assert.deepEqual([answer.status, answer.body.error?.code], [status, code], JSON.stringify(payload));
      assert.doesNotMatch(answer.body.error?.message ?? "", /sk-naked/);
    }
    assert.equal((await call("DELETE", `${path}/nobody`)).status, 404);
  });
});
