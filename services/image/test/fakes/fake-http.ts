import { readFileSync } from "node:fs";
import type { TestContext } from "node:test";
import {
  type FakeServer,
  type Heard,
  type Json,
  type Said as SaidOverHttp,
  startFake as startFakeHttp,
} from "../../../../test/fakes/fake-http-server.ts";
import { encodeGreyPng } from "../../src/grey-png.ts";

export type { FakeServer, Heard, Json } from "../../../../test/fakes/fake-http-server.ts";

/** What a fake answers: JSON, bytes of a PNG, or a status alone. */
export type Said = SaidOverHttp | Buffer;

/** A server on a free port of loopback until the test ends. Unknown routes are 404. */
export function startFake(
  t: TestContext,
  answer: (heard: Heard) => Promise<Said | undefined> | Said | undefined,
): Promise<FakeServer> {
  return startFakeHttp(t, async (heard) => {
    const said = await answer(heard);
    return Buffer.isBuffer(said) ? { type: "image/png", bytes: said } : said;
  });
}

/** A document of `fixtures/`, with words in it replaced. */
export function fixture(name: string, words: Readonly<Record<string, string>> = {}): Json {
  let text = readFileSync(new URL(`../../fixtures/${name}.json`, import.meta.url), "utf8");
  for (const [word, value] of Object.entries(words)) text = text.replaceAll(word, value);
  return JSON.parse(text);
}

/** A small picture in one shade of grey, to be told from others. */
export function shade(value: number): Buffer {
  return encodeGreyPng(Buffer.alloc(16 * 16, value), 16, 16);
}
