import { inspect, stripVTControlCharacters } from "node:util";

/**
 * @typedef {object} TestEvent One line of a file's record.
 * @property {"busy" | "idle" | "pass" | "fail" | "skip" | "note" | "end"} kind `busy` when a test begins while none
 *   runs, `idle` when the last that ran is done, `note` for what a test or Node has to say, `end` when all tests of the
 *   file came to an end.
 * @property {string} name With the names of the suites and tests around it, outermost first.
 * @property {string} [reason] Why it was skipped.
 * @property {string} [error] What failed: message, difference, stack, causes.
 */

/** What Node says at the end of every file. */
const counter = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;

/**
 * Node's test reporter for `run-file.mjs`: JSON lines.
 * @param {AsyncIterable<import("node:test/reporters").TestEvent>} source
 * @returns {AsyncGenerator<string>}
 */
// biome-ignore lint/style/noDefaultExport: Node takes a reporter from the module's default export.
export default async function* toLines(source) {
  /** @type {string[]} */
  const path = [];
  let running = 0;
  for await (const event of source) {
    if (event.type === "test:dequeue" && running++ === 0) yield line({ kind: "busy", name: event.data.name });
    if (event.type === "test:complete" && --running === 0) yield line({ kind: "idle", name: event.data.name });
    if (event.type === "test:start") path.splice(event.data.nesting, path.length, event.data.name);
    const ended = describe(event, path);
    if (ended !== undefined) yield line(ended);
  }
}

/** @param {TestEvent} event */
function line(event) {
  return `${JSON.stringify(event)}\n`;
}

/**
 * @param {import("node:test/reporters").TestEvent} event
 * @param {readonly string[]} path
 * @returns {TestEvent | undefined}
 */
function describe(event, path) {
  if (event.type === "test:diagnostic") {
    return counter.test(event.data.message) ? undefined : { kind: "note", name: event.data.message };
  }
  if (event.type === "test:summary") return { kind: "end", name: "" };
  if (event.type !== "test:pass" && event.type !== "test:fail") return undefined;
  const { data } = event;
  const name = [...path.slice(0, data.nesting), data.name].join(" > ");
  const isSkipped = data.skip !== undefined && data.skip !== false;
  if (isSkipped) return { kind: "skip", name, reason: data.skip === true ? "no reason given" : String(data.skip) };
  if (event.type === "test:fail") {
    const error = /** @type {Error & { failureType?: string }} */ (event.data.details.error);
    // A parent whose only fault is a failed child: the child is counted.
    if (error.failureType === "subtestsFailed") return undefined;
    return { kind: "fail", name: `${name} (line ${data.line})`, error: formatError(error.cause ?? error) };
  }
  return data.details.type === "suite" ? undefined : { kind: "pass", name };
}

/**
 * Message, difference and the stack without Node's own frames, then the causes.
 * @param {unknown} thrown
 * @returns {string}
 */
function formatError(thrown) {
  if (!(thrown instanceof Error)) return typeof thrown === "string" ? thrown : inspect(thrown);
  const lines = stripVTControlCharacters(thrown.stack ?? String(thrown)).split("\n");
  const own = lines.filter((line) => !/^\s+at .*(node:internal|node:async_hooks)/.test(line));
  const inner = thrown instanceof AggregateError ? thrown.errors : [];
  for (const cause of thrown.cause === undefined ? inner : [thrown.cause, ...inner]) {
    own.push(`caused by: ${formatError(cause)}`);
  }
  return own.join("\n");
}
