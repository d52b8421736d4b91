import assert from "node:assert/strict";
import { test } from "node:test";
import { readEventStream } from "./event-stream-reading.ts";
import { prometheusProblem } from "./prometheus-text.ts";

test("a text in Prometheus's format has no problem", () => {
  const text = [
    "# HELP a_total What it counts, with {braces}",
    "# TYPE a_total counter",
    'a_total{path="/a\\"b\\\\\\n",code="200"} 1',
    "a_total 3.5e+06 1395066363000",
    "# just a comment",
    "",
    "# TYPE b histogram",
    'b_bucket{le="+Inf"} 3',
    "b_sum -.5",
    "c NaN",
    'd{x="1",} +Inf',
    "",
  ].join("\n");
  assert.equal(prometheusProblem(text), undefined);
});

const broken: readonly (readonly [what: string, text: string, problem: RegExp])[] = [
  ["prose", "all is well\n", /line 1 .* is no sample/],
  ["an empty text", "", /no end/],
  ["only comments", "# TYPE a counter\n", /no sample in it/],
  ["no final newline", "a 1", /no end/],
  ["a value that is none", "a one\n", /no sample/],
  ["an open label", 'a{b="c} 1\n', /no sample/],
  ["a label without quotes", "a{b=c} 1\n", /no sample/],
  ["a type that is none", "# TYPE a number\na 1\n", /no TYPE line/],
  ["two types", "# TYPE a counter\n# TYPE a gauge\na 1\n", /second type/],
  ["a type after its samples", "a 1\n# TYPE a counter\n", /after its samples/],
  ["JSON", '{"a":1}\n', /no sample/],
];

for (const [what, text, problem] of broken) {
  test(`${what} is no text in Prometheus's format`, () => {
    assert.match(prometheusProblem(text) ?? "", problem);
  });
}

test("a stream is read with comments, named events and any line ends", () => {
  const reading = readEventStream(': hi\n\ndata: {"a":1}\n\r\nevent: x\r\ndata: {\ndata: "b":2}\n\ndata:[DONE]\n\n');
  assert.deepEqual(reading, {
    events: [{ a: 1 }, { b: 2 }],
    names: [undefined, "x"],
    isDone: true,
    problem: undefined,
  });
});

const badStreams: readonly (readonly [what: string, text: string, problem: RegExp])[] = [
  ["an open end", 'data: {"a":1}\n', /middle of an event/],
  ["something after [DONE]", "data: [DONE]\n\ndata: {}\n\n", /after \[DONE\]/],
  ["an event that is no JSON", "data: {a}\n\n", /no JSON: \{a\}/],
  ["an error event", 'event: error\ndata: {"error":{}}\n\n', /an error event came/],
];

for (const [what, text, problem] of badStreams) {
  test(`${what} is a problem of a stream`, () => {
    assert.match(readEventStream(text).problem ?? "", problem);
  });
}
