import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { makeDirectory, nexus } from "../support/command-line.ts";

interface Asked {
  readonly path: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at requests of several shapes
  readonly body: any;
}

/** A gateway whose vectors are a text's length, and whose documents are the more relevant the longer they are. */
async function startGateway(t: TestContext, domains: readonly string[]) {
  const asked: Asked[] = [];
  const answer = ({ path, body }: Asked): object => {
    if (path === "/v1/embeddings") {
      const data = body.input.map((text: string, index: number) => ({ index, embedding: [text.length, 0.5] }));
      return { model: body.model, data, usage: { total_tokens: body.input.length } };
    }
    const results = body.documents.map((text: string, index: number) => ({
      index,
      relevance_score: text.length / 100,
    }));
    return { model: body.model, results: results.reverse() };
  };
  const model = (id: string, domain: string, rank: number) => ({
    id,
    nexus: { domains: [domain], state: "loaded", ready_instances: 1, rank },
  });
  const models = domains.flatMap((domain) => [
    model(`another-for-${domain}`, domain, 2),
    model(`for-${domain}`, domain, 1),
  ]);
  const server = createServer(async (request, response) => {
    const path = request.url ?? "";
    response.setHeader("content-type", "application/json");
    if (request.method === "GET") return response.end(JSON.stringify({ data: models }));
    const question = { path, body: await json(request) };
    asked.push(question);
    return response.end(JSON.stringify(answer(question)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { asked, env: { NEXUS_URL: `http://127.0.0.1:${port}`, NEXUS_API_KEY: "k" } };
}

// proves: cli.texts
test("embed turns arguments, a file's lines and stdin's into vectors, a line each", async (t) => {
  const { asked, env } = await startGateway(t, ["chat", "embedding"]);
  const directory = await makeDirectory(t);
  const options = { env, cwd: directory };
  await writeFile(join(directory, "texts.txt"), "one\n\nthree\n");
  const lines = "[3,0.5]\n[5,0.5]\n";
  assert.deepEqual(await nexus(["embed", "one", "three"], options), { code: 0, stdout: lines, stderr: "" });
  assert.equal((await nexus(["embed", "--file", "texts.txt"], options)).stdout, lines);
  assert.equal((await nexus(["embed"], { ...options, stdin: "one\nthree" })).stdout, lines);
  assert.ok(asked.every(({ body }) => body.model === "for-embedding" && body.input.join() === "one,three"));

  const written = await nexus(
    ["embed", "one", "-o", "out.jsonl", "-m", "mine", "--dimensions", "2", "--as", "query"],
    options,
  );
  assert.match(written.stdout, /1 vectors? of 2 dimensions by mine/);
  assert.equal(await readFile(join(directory, "out.jsonl"), "utf8"), "[3,0.5]\n");
  assert.deepEqual(asked.at(-1)?.body, { model: "mine", input: ["one"], dimensions: 2, input_type: "query" });
});

// proves: cli.texts
test("many texts are asked for in batches and come out in their order", async (t) => {
  const { asked, env } = await startGateway(t, ["embedding"]);
  const texts = Array.from({ length: 70 }, (_, index) => "x".repeat(index + 1));
  const { stdout } = await nexus(["embed", "--json"], { env, stdin: texts.join("\n") });
  const answer = JSON.parse(stdout);
  assert.deepEqual(
    answer.embeddings.map(({ embedding }: { embedding: number[] }) => embedding[0]),
    texts.map(({ length }) => length),
  );
  assert.deepEqual([answer.model, answer.dimensions, answer.tokens], ["for-embedding", 2, 70]);
  assert.equal(asked.length, 3);
});

// proves: cli.texts
test("rerank shows the best documents first, over batches too", async (t) => {
  const { env } = await startGateway(t, ["rerank"]);
  const few = await nexus(["rerank", "query", "a", "ccc", "bb", "--top", "2"], { env });
  assert.equal(few.stdout, "0.0300  ccc\n0.0200  bb\n");
  const texts = Array.from({ length: 40 }, (_, index) => "x".repeat(index + 1));
  const { results } = JSON.parse((await nexus(["rerank", "q", "--json"], { env, stdin: texts.join("\n") })).stdout);
  assert.deepEqual(results[0], { index: 39, relevance_score: 0.4, text: "x".repeat(40) });
  assert.equal(results.length, 40);
});

// proves: cli.texts
test("what is missing is said, with what to do", async (t) => {
  const { env } = await startGateway(t, ["chat"]);
  const noModel = await nexus(["embed", "a"], { env });
  assert.equal(noModel.code, 3);
  assert.match(noModel.stderr, /No model for embedding is there yet[\s\S]*services: \{ embeddings: \{\} \}/);
  const noText = await nexus(["rerank", "query"], { env });
  assert.equal(noText.code, 2);
  assert.match(noText.stderr, /There is no text/);
  const noFile = await nexus(["embed", "--file", "/nowhere"], { env });
  assert.equal(noFile.code, 2);
  assert.match(noFile.stderr, /\/nowhere cannot be read/);
  const noPlace = await nexus(["embed", "a", "-o", "/nowhere/a.jsonl"], { env });
  assert.equal(noPlace.code, 2);
  assert.match(noPlace.stderr, /\/nowhere\/a\.jsonl cannot be written/);
});
