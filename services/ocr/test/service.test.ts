import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { runConformance } from "nexus/contract";
import { waitFor } from "../../../test/support/wait-for.ts";
import { asDocument, drawPng, encodePng, makePdf } from "./support/documents.ts";
import { type Answer, startOcr } from "./support/running-ocr.ts";

const invoice = ["Invoice 4711 of 23 November 2026", "Lighthouse lamp, large", "Total: 1,234.56 EUR"];

describe("reading", { timeout: 60_000 }, () => {
  // proves: ocr.pictures
  it("reads a picture with the place of every line and word", async (t) => {
    const ocr = await startOcr(t);
    const { status, body } = await ocr.read({ document: asDocument(await drawPng(invoice), "image/png") });
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(body.model, "tesseract-eng");
    assert.equal(body.usage_info.pages_processed, 1);
    const [page] = body.pages;
    assert.equal(page.markdown.replaceAll(/\s+/g, " "), invoice.join(" "));
    assert.deepEqual([page.dimensions.width, page.dimensions.height], [1700, 2200]);
    assert.deepEqual(
      page.lines.map((line: Answer) => line.text),
      invoice,
    );
    const number = page.lines[0].words.find((word: Answer) => word.text === "4711");
    // The word before it begins 200 pixels from the left; the line stands in the upper eighth of the page.
    assert.ok(number.top_left_x > 400 && number.bottom_right_x < 600, JSON.stringify(number));
    assert.ok(number.top_left_y > 150 && number.bottom_right_y < 275, JSON.stringify(number));
    assert.ok(number.confidence > 0.8 && number.confidence <= 1);
  });

  // proves: ocr.pdf
  it("reads the pages of a PDF that are asked for", async (t) => {
    const ocr = await startOcr(t);
    const document = asDocument(
      makePdf([["The first page"], ["The second page"], ["The third page"]]),
      "application/pdf",
    );
    const textsOf = async (fields: object): Promise<unknown> => {
      const { body } = await ocr.read({ document, ...fields });
      return body.pages?.map((page: Answer) => [page.index, page.markdown]) ?? body.error;
    };
    const [first, second, third] = [
      [0, "The first page"],
      [1, "The second page"],
      [2, "The third page"],
    ];
    assert.deepEqual(await textsOf({}), [first, second, third]);
    assert.deepEqual(await textsOf({ pages: [2, 0] }), [first, third]);
    assert.deepEqual(await textsOf({ pages: "1-2" }), [second, third]);
    assert.deepEqual(await textsOf({ pages: 1 }), [second]);
    const { status, body } = await ocr.read({ document, pages: 3 });
    assert.deepEqual([status, body.error.param], [400, "pages"]);
    assert.match(body.error.message, /no page 3: the document has 3/);
  });

  // proves: service.conforms
  it("keeps the contract", async (t) => {
    const ocr = await startOcr(t);
    const failed: unknown[] = [];
    for await (const { id, status, reason } of runConformance({ baseUrl: ocr.url, generate: true, signal: t.signal })) {
      if (status === "fail") failed.push({ id, reason });
    }
    assert.deepEqual(failed, []);
  });
});

describe("documents that are too much", { timeout: 60_000 }, () => {
  // proves: ocr.bounded
  it("refuses a picture by what it would unpack to, before it does", async (t) => {
    const ocr = await startOcr(t);
    const bomb = encodePng(new Uint8Array(60_000), 60_000, 60_000);
    assert.ok(bomb.length < 1_000);
    const { status, body } = await ocr.read({ document: asDocument(bomb, "image/png") });
    assert.deepEqual([status, body.error.code], [413, "request_too_large"]);
    assert.match(body.error.message, /60000 x 60000/);
  });

  // proves: ocr.bounded
  it("draws a huge page smaller, and refuses more pages than it may read", async (t) => {
    const ocr = await startOcr(t, { pixelsMax: 1_000_000, pagesMax: 2 });
    const huge = await ocr.read({
      document: asDocument(makePdf([["x"]], { width: 14_000, height: 14_000 }), "application/pdf"),
    });
    const { width, height } = huge.body.pages[0].dimensions;
    assert.ok(width * height <= 1_010_000, `${width} x ${height}`);
    const long = await ocr.read({ document: asDocument(makePdf([["a"], ["b"], ["c"]]), "application/pdf") });
    assert.equal(long.status, 400);
    assert.match(long.body.error.message, /has 3 pages; 2 at once are the limit/);
  });

  // proves: ocr.bounded
  it("says what is wrong with what it cannot read, and goes on", async (t) => {
    const ocr = await startOcr(t);
    const broken = encodePng(new Uint8Array(100), 1_000, 1_000).subarray(0, 60);
    const cases: readonly (readonly [document: object, status: number, message: RegExp])[] = [
      [asDocument(broken, "image/png"), 400, /picture cannot be unpacked/],
      [asDocument(Buffer.from("%PDF-1.4 and no more"), "application/pdf"), 400, /PDF is broken/],
      [asDocument(Buffer.from("GIF89a"), "image/png"), 400, /no PDF, and no PNG/],
      [{ type: "document_url", document_url: "https://example.com/a.pdf" }, 400, /fetches no addresses/],
      [{ type: "file", file_id: "file-1" }, 400, /document/],
    ];
    for (const [document, expected, message] of cases) {
      const { status, body } = await ocr.read({ document });
      assert.equal(status, expected, JSON.stringify(body));
      assert.match(body.error.message, message);
    }
    const { status } = await ocr.read({ document: asDocument(await drawPng(["still here"]), "image/png") });
    assert.equal(status, 200);
  });
});

describe("work that takes long", { timeout: 60_000 }, () => {
  const pages = Array.from({ length: 20 }, () =>
    Array.from({ length: 16 }, () => "Words that have to be read, line by line"),
  );
  const long = { document: asDocument(makePdf(pages), "application/pdf") };

  // proves: ocr.cancel
  it("ends when its client leaves, and answers whoever asks for its health meanwhile", async (t) => {
    const ocr = await startOcr(t, { parallel: 1 });
    const busy = async () => / 1$/m.test(/^nexus_service_slots_active.*$/m.exec(await metrics(ocr.url))?.[0] ?? "");
    const leaving = new AbortController();
    const abandoned = ocr.read(long, leaving.signal).catch((error: unknown) => error);
    await waitFor("it reads", busy);
    const times: number[] = [];
    for (let look = 0; look < 20; look++) {
      const since = performance.now();
      assert.equal((await fetch(`${ocr.url}/health`)).status, 200);
      times.push(performance.now() - since);
      await pause(10);
    }
    const median = times.sort((a, b) => a - b)[10] ?? 0;
    assert.ok(median < 250, `half of the looks at its health took more than ${median} ms`);
    assert.ok(await busy(), "the document was read before anybody could leave it");
    leaving.abort();
    const left = performance.now();
    await waitFor("its end", async () => !(await busy()));
    assert.ok(performance.now() - left < 1_000, `it worked on for ${performance.now() - left} ms`);
    assert.ok((await abandoned) instanceof Error);
    const next = await ocr.read({ document: asDocument(await drawPng(["the next one"]), "image/png") });
    assert.equal(next.body.pages[0].markdown, "the next one");
  });
});

// proves: ocr.languages
it("is not ready without the data of its languages, and says what to do", { timeout: 60_000 }, async (t) => {
  const without = await startOcr(t, { languages: ["xxx"] });
  const { status, body } = await without.get("/readyz");
  assert.deepEqual([status, body.state], [503, "failed"]);
  assert.match(body.checks.start.reason, /no data for xxx: apt install tesseract-ocr-xxx/);

  const partly = await startOcr(t, { languages: ["eng", "eng+xxx"] });
  const ready = await partly.get("/readyz");
  assert.equal(ready.status, 200);
  assert.match(ready.body.checks.languages.reason, /Reads eng\. There is no data for xxx/);
  const { body: models } = await partly.get("/v1/models");
  assert.deepEqual(
    models.data.map((model: Answer) => model.id),
    ["tesseract-eng"],
  );
});

async function metrics(url: string): Promise<string> {
  return await (await fetch(`${url}/metrics`)).text();
}
