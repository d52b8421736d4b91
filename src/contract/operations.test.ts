import assert from "node:assert/strict";
import { test } from "node:test";
import { domains as allDomains, type Domain } from "./metadata.ts";
import { endpointOf, operations, responseTypesOf, usualOperations } from "./operations.ts";

test("ids, and methods with paths, name one operation each", () => {
  assert.equal(new Set(operations.map(({ id }) => id)).size, operations.length);
  assert.equal(new Set(operations.map(({ method, path }) => `${method} ${path}`)).size, operations.length);
});

test("each row agrees with itself", () => {
  for (const operation of operations) {
    const { id, method, body, model, requestSchema, answers, media, domains, owner, job } = operation;
    assert.equal(requestSchema === null, body === "none", `${id}: a schema for what is sent`);
    assert.ok(method === "POST" || body === "none", `${id}: only POST has a body`);
    assert.ok(model !== "body" || body !== "none", `${id}: a model in a body that is none`);
    assert.equal(answers.includes("media"), media !== undefined, `${id}: media types for media`);
    assert.equal(domains.length > 0, owner === "instance", `${id}: instances serve models`);
    const isOfJob = job?.step === "one" || job?.step === "derive";
    assert.equal(isOfJob, owner === "instance" && operation.path.includes("{id}"), `${id}: whose id it is`);
    assert.ok(!operation.costly || !operation.idempotent, `${id}: what is costly is not done twice`);
  }
});

test("every domain has an operation, but agents, which act through others", () => {
  const served = new Set(operations.flatMap(({ domains }) => domains));
  assert.deepEqual(
    allDomains.filter((domain) => !served.has(domain)),
    ["agent"],
  );
});

test("what streams is what can answer with events", () => {
  const streaming = operations.filter((operation) => operation.streaming).map(({ id }) => id);
  assert.deepEqual(streaming.slice(0, 4), [
    "chat.completions.create",
    "completions.create",
    "responses.create",
    "messages.create",
  ]);
  assert.ok(!streaming.includes("embeddings.create"));
  for (const operation of operations) {
    assert.equal(endpointOf(operation).streaming, responseTypesOf(operation).includes("text/event-stream"));
  }
});

test("servers that say nothing of their operations are taken to offer the usual ones", () => {
  const usual = (...domains: readonly Domain[]) => usualOperations(domains).map(({ id }) => id);
  assert.deepEqual(usual("chat"), ["chat.completions.create", "completions.create"]);
  assert.deepEqual(usual("transcription", "rerank"), ["rerank", "audio.transcriptions.create"]);
  assert.deepEqual(usual("tool"), []);
});
