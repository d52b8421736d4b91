import { styleText } from "node:util";

/** @typedef {import("./run-file.mjs").FileResult} FileResult */

/**
 * @typedef {object} Totals
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 */

/** A skip whose reason starts so lacks a part of the machine; where everything is there, it is a failure. */
const missingPart = "needs ";
const outputLinesMax = 40;

/**
 * Where every part must be there, a test that was skipped for want of one has failed.
 * @param {FileResult} result
 * @returns {FileResult}
 */
export function failMissingParts(result) {
  const events = result.events.map((event) => {
    if (event.kind !== "skip" || !event.reason?.startsWith(missingPart)) return event;
    const error = `Skipped because it ${event.reason}. With CI=true every part must be there: install it in .ci/run.`;
    return { kind: /** @type {const} */ ("fail"), name: event.name, error };
  });
  return { ...result, events };
}

/**
 * @param {readonly FileResult[]} results
 * @returns {Totals}
 */
export function totalsOf(results) {
  const totals = { passed: 0, failed: 0, skipped: 0 };
  for (const { events } of results) {
    for (const { kind } of events) {
      if (kind === "pass") totals.passed++;
      if (kind === "fail") totals.failed++;
      if (kind === "skip") totals.skipped++;
    }
  }
  return totals;
}

/**
 * One line for a file that has come to its end, and one for each thing that its tests have to say.
 * @param {FileResult} result
 * @returns {string[]}
 */
export function fileLines(result) {
  const { passed, failed, skipped } = totalsOf([result]);
  const mark = failed > 0 ? styleText("red", "✗") : styleText("green", "✓");
  const notes = [failed > 0 ? `${failed} failed` : "", skipped > 0 ? `${skipped} skipped` : ""].filter(
    (note) => note !== "",
  );
  const counts = [`${passed} passed`, ...notes].join(", ");
  const took = `${(result.durationMs / 1000).toFixed(1)} s`;
  const said = result.events.filter(({ kind }) => kind === "note").map(({ name }) => `  ${name}`);
  return [`${mark} ${result.file}  ${styleText("dim", `${counts}  ${took}`)}`, ...said];
}

/**
 * Everything to be read after the run: skipped tests by reason, then failures in full.
 * @param {readonly FileResult[]} results
 */
export function summaryLines(results) {
  const lines = skipLines(results);
  for (const { file, events, output } of results) {
    const failures = events.filter(({ kind }) => kind === "fail");
    for (const { name, error } of failures) {
      lines.push("", `${styleText("red", "✗")} ${styleText("bold", file)}  ${name}`, indent(error ?? "no error given"));
    }
    if (failures.length > 0 && output.trim() !== "") {
      const shown = output.trimEnd().split("\n").slice(-outputLinesMax);
      lines.push(styleText("dim", `  what ${file} wrote, last ${shown.length} lines:`), indent(shown.join("\n")));
    }
  }
  return lines;
}

/** @param {readonly FileResult[]} results */
function skipLines(results) {
  /** @type {Map<string, string[]>} */
  const byReason = new Map();
  for (const { file, events } of results) {
    for (const { kind, name, reason } of events) {
      if (kind !== "skip" || reason === undefined) continue;
      byReason.set(reason, [...(byReason.get(reason) ?? []), `${file}  ${name}`]);
    }
  }
  return [...byReason].flatMap(([reason, tests]) => [
    "",
    `${styleText("yellow", "skipped")}  ${reason}`,
    ...tests.map((test) => `  ${test}`),
  ]);
}

/** @param {string} text */
function indent(text) {
  return text.replaceAll(/^(?=.)/gm, "  ");
}
