import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createTerminal, formatBytes, formatDuration, printable, progressBar, truncate } from "./terminal.ts";
import { wrapWords } from "./wrap-words.ts";

function makeTerminal(options: { isTTY?: boolean; columns?: number; env?: Record<string, string> } = {}) {
  const written = { stdout: "", stderr: "" };
  const stream = (name: keyof typeof written) => ({
    isTTY: options.isTTY ?? false,
    columns: options.columns,
    write: (text: string) => {
      written[name] += text;
    },
  });
  const terminal = createTerminal({
    stdout: stream("stdout"),
    stderr: stream("stderr"),
    stdin: { isTTY: options.isTTY ?? false },
    environment: options.env ?? {},
  });
  return { terminal, written };
}

test("colours are for terminals, and for nobody when NO_COLOR is set", () => {
  assert.equal(makeTerminal({ isTTY: true }).terminal.paint("red", "x"), "\u001b[31mx\u001b[39m");
  for (const options of [{}, { isTTY: true, env: { NO_COLOR: "1" } }, { isTTY: true, env: { TERM: "dumb" } }]) {
    assert.equal(makeTerminal(options).terminal.paint("red", "x"), "x");
  }
});

test("columns are aligned whatever is in them, and cut only where a terminal ends", () => {
  const rows = [
    ["a", { text: "long one", style: "bold" as const }, "x".repeat(50)],
    ["bbb", "c", "y"],
  ];
  assert.deepEqual(makeTerminal().terminal.table(rows, ["ONE", "TWO", "THREE"]), [
    "ONE  TWO       THREE",
    `a    long one  ${"x".repeat(50)}`,
    "bbb  c         y",
  ]);
  const [, cut] = makeTerminal({ isTTY: true, columns: 40, env: { NO_COLOR: "1" } }).terminal.table(rows, ["ONE"]);
  assert.equal(cut, `a    long one  ${"x".repeat(24)}…`);
});

test("text from elsewhere can't move the cursor, hide or pretend to be another line", () => {
  const nasty = "\u001b[2J\u001b]0;title\u0007a\rb\nc\u202ed\u009b31m";
  const safe = printable(nasty);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  assert.doesNotMatch(safe, /[\u0000-\u001f\u007f-\u009f\u202e]/);
  assert.match(printable("a\n\tb", { keepLines: true }), /^a\n\tb$/);
  const { terminal } = makeTerminal();
  assert.equal(terminal.table([[nasty, "x"]]).length, 1);
  assert.ok(terminal.table([[nasty, "x"]]).every((line) => !line.includes("\n")));
});

test("a live area takes back exactly what it drew, and nothing where nobody looks", () => {
  const { terminal, written } = makeTerminal({ isTTY: true, columns: 30 });
  const area = terminal.live();
  area.update(["one", "x".repeat(60)]);
  area.update(["two"]);
  area.clear();
  assert.equal(written.stderr, `one\n${"x".repeat(28)}…\n\u001b[2A\u001b[0Jtwo\n\u001b[1A\u001b[0J`);
  const quiet = makeTerminal();
  quiet.terminal.live().update(["one"]);
  assert.equal(quiet.written.stderr, "");
});

test("amounts are said as people say them", () => {
  assert.deepEqual([0, 59, 61, 3_600, 90_061, 172_800].map(formatDuration), [
    "0 s",
    "59 s",
    "1 min 1 s",
    "1 h",
    "1 d 1 h",
    "2 d",
  ]);
  assert.deepEqual([0, 999, 1_000, 98_362_432, 252_000_000_000].map(formatBytes), [
    "0 B",
    "999 B",
    "1.0 kB",
    "98 MB",
    "252 GB",
  ]);
  assert.equal(progressBar(0.5, 4), "██░░  50 %");
  assert.equal(progressBar(7, 4), "████ 100 %");
  assert.equal(truncate("abcdef", 4), "abc…");
});

/** What a terminal of that width shows: it breaks a line where its letters end, and wide letters take two columns. */
function shownOn(columns: number, text: string): string {
  let shown = "";
  let column = 0;
  for (const letter of text) {
    const width = letter > "z" ? 2 : 1;
    if (letter === "\n") column = 0;
    else if (column + width <= columns) column += width;
    else {
      shown += "\n";
      column = width;
    }
    shown += letter;
  }
  return shown;
}

const blankLines = (text: string) => text.split("\n").filter((line) => line.trim() === "").length;
/** Whose indentation stands alone where the first word has no room beside it. */
const indentedLines = (text: string) => text.split("\n").filter((line) => /^ +[^ ]/.test(line)).length;

test("a wrapped text breaks between its words on the screen, however it comes in pieces", () => {
  const texts = fc.stringMatching(/^[a-z \n好🌍]{0,200}$/u);
  const cuts = fc.array(fc.nat(200), { maxLength: 20 });
  fc.assert(
    fc.property(texts, cuts, fc.integer({ min: 5, max: 40 }), (text, at, columns) => {
      const wrap = (pieces: readonly string[]) => {
        let out = "";
        const wrapper = wrapWords(columns, (more) => {
          out += more;
        });
        for (const piece of pieces) wrapper.write(piece);
        wrapper.end();
        return out;
      };
      const letters = [...text];
      const places = [0, ...at.map((place) => Math.min(place, letters.length)), letters.length].toSorted(
        (a, b) => a - b,
      );
      const pieces = places.slice(1).map((end, index) => letters.slice(places[index], end).join(""));
      const whole = wrap([text]);
      assert.equal(wrap(pieces), whole);
      assert.equal(whole.replaceAll(/\s/g, ""), text.replaceAll(/\s/g, ""));
      const shown = shownOn(columns, whole);
      assert.ok(
        blankLines(shown) <= blankLines(text) + indentedLines(text),
        `no more blank lines in ${columns}: '${shown}'`,
      );
      // Only a word that is longer than a line is broken, and nothing is but between words.
      const words = (of: string) => of.match(/[a-z]+/g) ?? [];
      const parts = words(shown);
      for (const word of words(text)) {
        let part = parts.shift() ?? "";
        while (word.length > columns && part.length < word.length) part += parts.shift() ?? assert.fail(shown);
        assert.equal(part, word, `in ${columns}: '${shown}'`);
      }
    }),
  );
});
