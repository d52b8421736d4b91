import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { asDocument, drawBmp } from "./support/documents.ts";
import { type Answer, startOcr } from "./support/running-ocr.ts";

const fixtures = join(import.meta.dirname, "fixtures");
const options = { timeout: 60_000 };

/** How each is made: fixtures/README.md. */
const signs = [
  ["a JPEG", "sign.jpg", "image/jpeg"],
  ["a lossy WebP", "sign-lossy.webp", "image/webp"],
  ["a lossless WebP", "sign-lossless.webp", "image/webp"],
  ["a JPEG that lies on its side, as its EXIF says,", "sign-turned.jpg", "image/jpeg"],
] as const;

for (const [what, file, type] of signs) {
  // proves: ocr.pictures
  test(`${what} is read, with its places as it is looked at`, options, async (t) => {
    const ocr = await startOcr(t);
    const { status, body } = await ocr.read({ document: asDocument(await readFile(join(fixtures, file)), type) });
    assert.equal(status, 200, JSON.stringify(body));
    const [page] = body.pages;
    const lines = (await readFile(join(fixtures, "sign.txt"), "utf8")).split("\n");
    assert.deepEqual(
      page.lines.map(({ text }: Answer) => text),
      lines,
    );
    assert.deepEqual([page.dimensions.width, page.dimensions.height], [640, 240]);
    // The second line was drawn 40 pixels from the left, in the middle third of the sign.
    const pier = page.lines[1].words[0];
    assert.equal(pier.text, "Pier");
    assert.ok(Math.abs(pier.top_left_x - 40) < 12 && pier.bottom_right_x < 160, JSON.stringify(pier));
    assert.ok(pier.top_left_y > 80 && pier.bottom_right_y < 160, JSON.stringify(pier));
  });
}

// proves: ocr.pictures
test("a BMP is read", options, async (t) => {
  const ocr = await startOcr(t);
  const lines = ["Harbour office", "Pier 42, gate B"];
  const { status, body } = await ocr.read({ document: asDocument(await drawBmp(lines), "image/bmp") });
  assert.equal(status, 200, JSON.stringify(body));
  const [page] = body.pages;
  assert.deepEqual(
    page.lines.map(({ text }: Answer) => text),
    lines,
  );
  assert.deepEqual([page.dimensions.width, page.dimensions.height], [1700, 2200]);
});
