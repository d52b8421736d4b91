import assert from "node:assert/strict";
import { test } from "node:test";
import { textOf, toSrt, toVerboseJson, toVtt, wordsOf } from "./transcript.ts";
import type { Segment } from "./whisper-library.ts";

function segment(text: string, start: number, end: number, tokens: readonly string[] = []): Segment {
  const length = (end - start) / Math.max(1, tokens.length);
  return {
    start,
    end,
    text,
    noSpeech: 0.1,
    tokens: tokens.map((token, at) => ({
      id: at,
      text: token,
      logProbability: -0.5,
      start: start + at * length,
      end: start + (at + 1) * length,
    })),
  };
}

const segments = [
  segment(" Hello there.", 0, 1.5, [" Hel", "lo", " there."]),
  segment(" A < B --> C & D", 3599.9994, 3661.25),
];

test("subtitles have numbers, clocks and one line a cue, and nothing in them begins another", () => {
  assert.equal(
    toSrt(segments),
    "1\n00:00:00,000 --> 00:00:01,500\nHello there.\n\n2\n00:59:59,999 --> 01:01:01,250\nA < B -> C & D\n\n",
  );
  assert.equal(
    toVtt(segments),
    "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello there.\n\n00:59:59.999 --> 01:01:01.250\nA &lt; B -&gt; C &amp; D\n\n",
  );
  assert.equal(toVtt([]), "WEBVTT\n\n");
});

test("words have the times of their tokens", () => {
  assert.deepEqual(wordsOf(segments[0] ?? segment("", 0, 0)), [
    { word: "Hello", start: 0, end: 1 },
    { word: "there.", start: 1, end: 1.5 },
  ]);
});

test("where tokens and words do not agree, words have the segment's times", () => {
  assert.deepEqual(wordsOf(segment("two words", 1, 2, [" two", " wo", " rds"])), [
    { word: "two", start: 1, end: 2 },
    { word: "words", start: 1, end: 2 },
  ]);
});

test("a verbose transcript has what was asked for", () => {
  const transcript = { task: "transcribe", language: "english", duration: 4.2, temperature: 0, segments } as const;
  const whole = toVerboseJson(transcript, new Set(["segment"])) as {
    segments: { avg_logprob: number; tokens: number[] }[];
  };
  assert.equal(whole.segments[0]?.avg_logprob, -0.5);
  assert.deepEqual(whole.segments[0]?.tokens, [0, 1, 2]);
  assert.ok(!("words" in whole));
  const words = toVerboseJson(transcript, new Set(["word"]));
  assert.ok("words" in words && !("segments" in words));
  assert.equal(textOf(segments), "Hello there. A < B --> C & D");
});
