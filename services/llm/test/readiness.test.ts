import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { addModel } from "nexus/blobs";
import { startFakeFileServer } from "../../../test/fakes/fake-file-server.ts";
import { tinyGguf } from "../../../test/support/tiny-gguf.ts";
import { waitFor } from "../../../test/support/wait-for.ts";
import { type Answer, type RunningLlm, startLlm } from "./support/running-service.ts";
import { tinyId, tinyModels } from "./support/test-models.ts";

describe("readiness", { timeout: 60_000 }, () => {
  let directory: string;
  let llm: RunningLlm | undefined;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "nexus-ready-"));
  });
  afterEach(async () => {
    await llm?.close();
    await rm(directory, { recursive: true, force: true });
  });

  const until = async (isIt: (answer: { status: number; body: Answer }) => boolean): Promise<Answer> => {
    let seen: Answer;
    const look = async () => {
      const answer = await llm?.get("/readyz");
      seen = answer?.body;
      return answer !== undefined && isIt(answer);
    };
    await waitFor(() => `other than ${JSON.stringify(seen)}`, look);
    return seen;
  };

  // proves: models.none
  it("stays up without a model, says what was tried and what to do, and takes one that is added", async () => {
    await addModel({ directory, id: "mine", from: "/nowhere/model.gguf" });
    llm = await startLlm({ modelId: "mine", modelsDirectory: directory });
    const report = await until(({ body }) => /Tried:/.test(body.checks.model.reason ?? ""));
    assert.match(report.checks.model.reason, /\/nowhere\/model\.gguf: is not there.*nexus models add/);
    assert.equal(report.ready, false);
    assert.equal((await llm.get("/health")).status, 200);
    const answer = await llm.ask("chat/completions", { model: "mine", messages: [{ role: "user", content: "hi" }] });
    assert.ok(answer.status === 404 || answer.status === 503, String(answer.status));

    const path = join(directory, "here.gguf");
    await writeFile(path, tinyGguf());
    await addModel({ directory, id: "mine", from: path });
    await until(({ status }) => status === 200);
  });

  it("shows how far a download is", async () => {
    const server = await startFakeFileServer(tinyGguf());
    try {
      server.next({ stallAfterBytes: 200_000 });
      await addModel({ directory, id: "far", from: `${server.url}/m.gguf` });
      llm = await startLlm({ modelId: "far", modelsDirectory: directory });
      const report = await until(({ body }) => (body.progress ?? 0) > 0.1);
      assert.match(report.checks.model.reason, /far: download \(127\.0\.0\.1:\d+, 0 of 0 MiB\)/);
      assert.ok(report.progress < 0.8);
      server.breakConnections();
      await until(({ status }) => status === 200);
    } finally {
      await server.close();
    }
  });

  it("is ready for other models when the one of the settings cannot be had", async () => {
    await tinyModels(directory);
    llm = await startLlm({ modelId: tinyId, modelsDirectory: directory });
    await llm.ready();
    await llm.close();
    await addModel({ directory, id: "gone", from: "/nowhere/model.gguf" });
    llm = await startLlm({ modelId: "gone", modelsDirectory: directory });
    await llm.ready();
    const { body } = await llm.get("/readyz");
    assert.match(body.checks.model.reason, /^Serving tiny\. No source of gone/);
    const answer = await llm.ask("completions", { model: tinyId, prompt: "a", max_tokens: 2 });
    assert.equal(answer.status, 200);
  });

  it("lists what another process fetched, and loads it at the first request", async () => {
    await tinyModels(directory);
    llm = await startLlm({ modelId: tinyId, modelsDirectory: directory, loadedMax: 1 });
    await llm.ready();
    const other = join(directory, "other.gguf");
    await writeFile(other, Buffer.concat([tinyGguf(), Buffer.alloc(32)]));
    await addModel({ directory, id: "second", from: other });
    const second = await startLlm({ modelId: "second", modelsDirectory: directory });
    await second.ready();
    await second.close();
    const stateOf = async (id: string) =>
      (await llm?.get("/v1/models"))?.body.data.find((model: Answer) => model.id === id)?.state;
    await waitFor("it is listed", async () => (await stateOf("second")) === "available");
    const { status } = await llm.ask("completions", { model: "second", prompt: "a", max_tokens: 2 });
    assert.equal(status, 200);
    assert.equal(await stateOf("second"), "loaded");
    assert.equal(await stateOf(tinyId), "available");
  });
});
