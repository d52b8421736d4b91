import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { png } from "../fakes/fake-images.ts";
import { makeDirectory, nexus } from "../support/command-line.ts";

/** JSON as tests look at it. */
// biome-ignore lint/suspicious/noExplicitAny: tests look at requests of several shapes
type Json = any;

const data = { nexus: { domains: ["ocr", "image"], state: "loaded", ready_instances: 1 } };

/** A gateway with one model for both, which answers with what `answer` gives: events when it is a list. */
async function startGateway(t: TestContext, answer: (path: string, body: Json) => object) {
  const asked: { readonly path: string; readonly body: Json }[] = [];
  const server = createServer(async (request, response) => {
    const path = request.url ?? "";
    if (request.method === "GET") return response.end(JSON.stringify({ data: [{ id: "eyes", ...data }] }));
    const body = (await json(request)) as Json;
    asked.push({ path, body });
    const said = answer(path, body);
    const isStream = Array.isArray(said);
    response.setHeader("content-type", isStream ? "text/event-stream" : "application/json");
    if (!isStream) return response.end(JSON.stringify(said));
    return response.end(said.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(""));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const directory = await makeDirectory(t);
  const options = { env: { NEXUS_URL: `http://127.0.0.1:${port}`, NEXUS_API_KEY: "k" }, cwd: directory };
  return { asked, options, place: (name: string) => join(directory, name) };
}

const read = (path: string, { document }: Json) => {
  const isPdf = document.type === "document_url";
  const pages = isPdf ? ["First page", "Second page"] : ["Exit\u001b[31m"];
  return { model: "eyes", pages: pages.map((markdown, index) => ({ index, markdown, lines: [], path })) };
};

// proves: cli.pictures
test("ocr prints the text of pictures and PDFs, or all that is known of it", async (t) => {
  const { asked, options, place } = await startGateway(t, read);
  await writeFile(place("sign.png"), png(1));
  await writeFile(place("letter.pdf"), "%PDF-1.4 ...");
  const plain = await nexus(["ocr", "sign.png", "letter.pdf", "--pages", "0-1"], options);
  // What a picture says cannot colour the terminal.
  assert.deepEqual(plain, { code: 0, stdout: "Exit\n\nFirst page\n\nSecond page\n", stderr: "" });
  assert.deepEqual(
    asked.map(({ path, body }) => [path, body.model, body.document.type, body.pages]),
    [
      ["/v1/ocr", "eyes", "image_url", "0-1"],
      ["/v1/ocr", "eyes", "document_url", "0-1"],
    ],
  );
  assert.equal(asked[0]?.body.document.image_url, `data:image/png;base64,${png(1).toString("base64")}`);
  const [document] = JSON.parse((await nexus(["ocr", "letter.pdf", "--format", "json"], options)).stdout);
  assert.deepEqual([document.file, document.pages.length], ["letter.pdf", 2]);
  const written = await nexus(["ocr", "letter.pdf", "-o", "letter.txt", "-m", "mine"], options);
  assert.equal(written.stdout, "2 pages by mine, in letter.txt.\n");
  assert.equal(await readFile(place("letter.txt"), "utf8"), "First page\n\nSecond page\n");
});

// proves: cli.pictures
test("image writes the picture, from a stream or a whole answer", async (t) => {
  const made = { b64_json: png(3).toString("base64"), seed: 7, size: "64x64" };
  const { asked, options, place } = await startGateway(t, (path) =>
    path.endsWith("edits")
      ? { data: [{ b64_json: made.b64_json }] }
      : [
          { type: "image_generation.progress", progress: 50 },
          { type: "image_generation.completed", ...made },
        ],
  );
  const flags = ["--size", "64x64", "--steps", "4", "--seed", "7", "--negative", "dogs", "-o", "cat.png"];
  const drawn = await nexus(["image", "a", "cat", ...flags], options);
  assert.match(drawn.stdout, /^cat\.png: 64x64, seed 7, \d+ B, by eyes\.\n$/);
  assert.deepEqual(await readFile(place("cat.png")), png(3));
  assert.deepEqual(asked[0]?.body, {
    model: "eyes",
    prompt: "a cat",
    size: "64x64",
    steps: 4,
    seed: 7,
    negative_prompt: "dogs",
    stream: true,
  });
  const changed = await nexus(["image", "darker", "--edit", "cat.png", "--mask", "cat.png", "--json"], options);
  assert.equal(JSON.parse(changed.stdout).output, "image.png");
  assert.deepEqual(await readFile(place("image.png")), png(3));
  const sent = asked[1]?.body.images[0].image_url;
  assert.deepEqual([asked[1]?.path, sent], ["/v1/images/edits", asked[1]?.body.mask.image_url]);
});

// proves: cli.pictures
test("what went wrong is said", async (t) => {
  const broken = { type: "error", error: { message: "The backend has no memory left.", code: "backend_error" } };
  const { options, place } = await startGateway(t, (_, { prompt }) => (prompt === "cut" ? [] : [broken]));
  await writeFile(place("words.txt"), "words");
  const cases: readonly (readonly [args: readonly string[], code: number, said: RegExp])[] = [
    [["image", "a cat"], 1, /no memory left/],
    [["image", "cut"], 1, /broke off before its end/],
    [["image"], 2, /no prompt/],
    [["image", "a", "--mask", "words.txt"], 2, /--mask needs a picture[\s\S]*--edit/],
    [["ocr", "words.txt"], 2, /words\.txt is no PNG/],
    [["ocr", "nowhere.png"], 2, /nowhere\.png cannot be read/],
    [["ocr", "words.txt", "-o", "nowhere/a.txt"], 2, /nowhere\/a\.txt cannot be written/],
    [["image", "a", "-o", "nowhere/a.png"], 2, /nowhere\/a\.png cannot be written/],
  ];
  for (const [args, code, said] of cases) {
    const ended = await nexus([...args], options);
    assert.equal(ended.code, code, ended.stderr);
    assert.match(ended.stderr, said);
  }
});
