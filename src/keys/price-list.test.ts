import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { makeDirectory } from "../../test/support/command-line.ts";
import { recordingLogger } from "../../test/support/run-in-test.ts";
import { openPrices } from "./open-prices.ts";
import { parsePriceList } from "./price-list.ts";

const list = `
prices:
  - { models: gpt-4o-mini, service: cheap, inputPerMillion: 0.1 }
  - { models: "gpt-4o*", inputPerMillion: 2.5, outputPerMillion: 10 }
  - { models: "dall-e*", perImage: 0.04 }
  - { models: "tts-*", perMillionCharacters: 15 }
  - { models: "whisper*", perMinute: 0.006 }
`;

// proves: keys.prices
test("the first entry that fits is the price; what none fits is free", () => {
  const prices = parsePriceList(list);
  const cost = (model: string, used: Parameters<typeof prices.costMicroUsd>[1], service = "paid") =>
    prices.costMicroUsd({ model, service }, used);
  assert.equal(cost("gpt-4o", { promptTokens: 1_000, completionTokens: 100 }), 3_500);
  assert.equal(cost("gpt-4o-mini", { promptTokens: 1_000 }, "cheap"), 100);
  assert.equal(cost("gpt-4o-mini", { promptTokens: 1_000 }), 2_500);
  assert.equal(cost("gpt-4o-mini", { promptTokens: 3 }, "cheap"), 1, "rounded up");
  assert.equal(cost("dall-e-3", { images: 2 }), 80_000);
  assert.equal(cost("tts-1", { characters: 200 }), 3_000);
  assert.equal(cost("whisper-1", { seconds: 90 }), 9_000);
  assert.equal(cost("llama3", { promptTokens: 1_000_000 }), 0);
  assert.equal(prices.costMicroUsdMax("gpt-4o-mini", { promptTokens: 1_000 }), 2_500);
});

test("a price list that is wrong is refused with the place", () => {
  assert.throws(() => parsePriceList("prices: [{ models: x, inputPerMillion: -1 }]"), /prices\[0\]\.inputPerMillion/);
  assert.throws(() => parsePriceList("prices: [{ models: x, input: 1 }]"), /input/);
  assert.throws(() => parsePriceList("{"), /YAML/);
});

// proves: keys.prices
test("a changed file counts soon; a broken one leaves the last good prices, and is told of once", async (t) => {
  const file = join(await makeDirectory(t), "prices.yaml");
  await writeFile(file, list);
  const clock = new FakeClock();
  const { log, lines } = recordingLogger();
  const prices = await openPrices({ file, clock, log });
  t.after(() => prices.close());
  const cost = () => prices.current().costMicroUsd({ model: "gpt-4o", service: "x" }, { promptTokens: 1 });
  const replace = async (text: string) => {
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
  };
  const untilLogged = async (count: number) => {
    while (lines.length < count) await clock.tick(2_000);
  };
  assert.equal(cost(), 3);
  await replace(list.replace("2.5", "7"));
  await untilLogged(1);
  assert.equal(cost(), 7);
  await replace("prices: broken");
  await untilLogged(2);
  await clock.tick(10_000);
  assert.equal(cost(), 7);
  assert.equal(lines.length, 2);
  await replace(list);
  await untilLogged(3);
  assert.equal(cost(), 3);
});
