import type { DryRun } from "../records/dry-run.ts";
import type { RecordedAttempt, RecordedCandidate, RequestRecord } from "../records/request-record.ts";
import { type Cell, printable, type Terminal } from "./terminal.ts";

/** Columns of a bar that stands for the whole time of a request. */
const barColumns = 32;

/** One request as a page: what was asked, where it could go, where it went, where the time went. */
export function describeRecord(record: RequestRecord, terminal: Terminal): string[] {
  const { paint } = terminal;
  const status =
    record.code === undefined ? paint("green", String(record.status)) : paint("red", String(record.status));
  const error = record.code === undefined ? "" : `  ${paint("red", record.code)}`;
  return [
    `${paint("bold", record.id)}  ${record.operation}  ${status}${error}`,
    ...facts(record).map((line) => `  ${printable(line)}`),
    ...describeChoice(record, terminal),
    "",
    paint("bold", "Where the time went"),
    ...describeTimes(record, terminal),
    ...record.notes.map((note) => `  ${printable(note)}`),
  ];
}

/** The answer to what would happen. */
export function describeDryRun(run: DryRun, terminal: Terminal): string[] {
  const { paint } = terminal;
  const [first] = run.candidates;
  const verdict =
    run.refusal === undefined
      ? `${paint("green", "would be sent")} to ${first?.instance ?? "?"}`
      : `${paint("red", "would be refused")}: ${printable(run.refusal.message)} (${run.refusal.code})`;
  return [
    `${run.operation}${run.model === undefined ? "" : `  ${printable(run.model)}`}: ${verdict}`,
    ...(run.resolved_model === undefined || run.resolved_model === run.model
      ? []
      : [`  means ${printable(run.resolved_model)}`]),
    ...(run.needs.length === 0 ? [] : [`  needs ${run.needs.join(", ")}`]),
    ...describeChoice(run, terminal),
  ];
}

/** The newest requests, one a line. */
export function describeRecords(records: readonly RequestRecord[], terminal: Terminal): string[] {
  if (records.length === 0) return ["No request has come yet."];
  const rows = records.map((record): Cell[] => [
    record.at.slice(11, 19),
    { text: record.id, style: "bold" },
    record.operation,
    { text: String(record.status), style: record.code === undefined ? "green" : "red" },
    record.model ?? "-",
    record.instance ?? "-",
    formatMs(record.timings_ms.total),
    record.code ?? "",
  ]);
  return terminal.table(rows, ["TIME", "REQUEST", "OPERATION", "STATUS", "MODEL", "INSTANCE", "TOOK", ""]);
}

function facts(record: RequestRecord): string[] {
  const { model, resolved_model: resolved, tokens } = record;
  const named =
    model === undefined ? [] : [resolved === undefined || resolved === model ? model : `${model} → ${resolved}`];
  const who = [
    ...(record.key === undefined ? [] : [`key ${record.key}`]),
    ...(record.tenant === undefined ? [] : [`tenant ${record.tenant}`]),
    ...(record.class === undefined ? [] : [`class ${record.class}`]),
    ...(record.route === undefined ? [] : [`route ${record.route}`]),
    ...(record.stream ? ["stream"] : []),
  ];
  const spent = [
    ...(tokens === undefined ? [] : [`${tokens.prompt} prompt and ${tokens.completion} answer tokens`]),
    ...((record.cost_microusd ?? 0) === 0 ? [] : [`$${((record.cost_microusd ?? 0) / 1e6).toFixed(6)}`]),
    `${record.bytes_in} bytes in, ${record.bytes_out} out`,
  ];
  const lines = [[record.at, ...named].join("  "), who.join(", "), spent.join(", ")];
  if (record.detail !== undefined) lines.push(record.detail);
  return lines.filter((line) => line !== "");
}

type Choice = Pick<RequestRecord, "candidates" | "rejected" | "omitted"> & { readonly instance?: string };

function describeChoice(choice: Choice, terminal: Terminal): string[] {
  const lines: string[] = [];
  if (choice.candidates.length > 0) {
    const rows = choice.candidates.map((candidate, place): Cell[] => [
      `  ${place + 1}`,
      candidate.instance === choice.instance ? { text: candidate.instance, style: "green" } : candidate.instance,
      describeWhy(candidate),
    ]);
    lines.push("", terminal.paint("bold", "Where it could go"), ...terminal.table(rows));
  }
  if (choice.rejected.length > 0) {
    const rows = choice.rejected.map(({ instance, reason, text }): Cell[] => [
      `  ${instance}`,
      { text: reason, style: "yellow" },
      text,
    ]);
    lines.push("", terminal.paint("bold", "Where it could not"), ...terminal.table(rows));
  }
  if (choice.omitted > 0) lines.push(`  and ${choice.omitted} more`);
  return lines;
}

/** What goes without saying. */
const usual: Readonly<Record<string, unknown>> = {
  weight: 1,
  unknown_features: 0,
  wait_ms: 0,
  penalty: 0,
  full: false,
  affinity: false,
};

/** The words of a score that people read. */
const words: Readonly<Record<string, string>> = {
  unknown_features: "features not known",
  cold_start_ms: "cold start ms",
  wait_ms: "wait ms",
  in_flight: "in flight",
  full: "all slots taken",
  affinity: "has the beginning in its cache",
};

function describeWhy({ via, why }: RecordedCandidate): string {
  const said = Object.entries(why)
    .filter(([name, value]) => usual[name] !== value)
    .map(([name, value]) => (value === true ? (words[name] ?? name) : `${words[name] ?? name} ${show(value)}`));
  return [...(via === undefined ? [] : [`asked for ${via}`]), ...said].join(", ");
}

function show(value: unknown): string {
  return typeof value === "number" ? String(Math.round(value * 1_000) / 1_000) : String(value);
}

interface Span {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

function describeTimes(record: RequestRecord, terminal: Terminal): string[] {
  const { total } = record.timings_ms;
  const rows = spansOf(record).map(({ name, start, end, text }): Cell[] => [
    `  ${name}`,
    bar(start, end, total),
    formatMs(end - start),
    text,
  ]);
  return terminal.table([...rows, ["  total", "", formatMs(total), ""]]);
}

function spansOf(record: RequestRecord): Span[] {
  const { read, queue = 0, first_byte: firstByte, total } = record.timings_ms;
  const spans: Span[] = [];
  if (read !== undefined) spans.push({ name: "read", start: 0, end: read, text: "" });
  if (queue > 0) {
    const start = read ?? 0;
    spans.push({ name: "queue", start, end: start + queue, text: "waited for a free slot" });
  }
  spans.push(...record.attempts.map(attemptSpan));
  if (firstByte !== undefined) spans.push({ name: "answer", start: firstByte, end: total, text: "first byte to last" });
  return spans;
}

function attemptSpan({ instance, outcome, start_ms, duration_ms }: RecordedAttempt): Span {
  return { name: instance, start: start_ms, end: start_ms + duration_ms, text: outcome };
}

/** Where a span lies in the whole. Never empty: a short one is worth seeing too. */
function bar(start: number, end: number, total: number): string {
  if (total <= 0) return "";
  const at = (ms: number) => Math.min(barColumns, Math.max(0, Math.round((ms / total) * barColumns)));
  const from = Math.min(at(start), barColumns - 1);
  const to = Math.max(from + 1, at(end));
  return `${"·".repeat(from)}${"█".repeat(to - from)}${"·".repeat(barColumns - to)}`;
}

function formatMs(ms: number): string {
  if (ms >= 10_000) return `${(ms / 1_000).toFixed(1)} s`;
  return ms >= 100 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
}
