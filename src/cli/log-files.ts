import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { printable, type StyleName, type Terminal } from "./terminal.ts";

/** A line of a process's log: the fields of a JSON line, or the text of any other. */
export interface LogLine {
  readonly process: string;
  readonly time: string | undefined;
  readonly level: string | undefined;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** As much of a file's end is looked at. */
const tailBytesMax = 4 * 1024 * 1024;

/** The newest lines of several logs, oldest first. */
export async function lastLines(directory: string, names: readonly string[], count: number): Promise<LogLine[]> {
  const all: LogLine[] = [];
  for (const name of names) {
    const { text } = await readFrom(join(directory, `${name}.log`), -tailBytesMax);
    all.push(
      ...toLines(text)
        .slice(-count)
        .map((line) => parseLogLine(name, line)),
    );
  }
  // Lines without a time stay behind the one that they follow.
  let time = "";
  const keyed = all.map((line) => {
    time = line.time ?? time;
    return { line, time };
  });
  return keyed
    .sort((left, right) => (left.time < right.time ? -1 : left.time > right.time ? 1 : 0))
    .map(({ line }) => line)
    .slice(-count);
}

/** Where logs ended at one moment, in bytes by the name of their process. */
export type LogEnds = ReadonlyMap<string, number>;

/** The logs of a directory that may not be there yet. */
export async function listLogs(directory: string): Promise<string[]> {
  const files = await readdir(directory).catch(() => []);
  return files.filter((file) => file.endsWith(".log")).map((file) => file.slice(0, -".log".length));
}

export async function findLogEnds(directory: string, names: readonly string[]): Promise<LogEnds> {
  const ends = names.map(async (name) => [name, await sizeOf(join(directory, `${name}.log`))] as const);
  return new Map(await Promise.all(ends));
}

export interface FollowLogsOptions {
  readonly directory: string;
  /** The logs to follow, and from where on. */
  readonly from: LogEnds;
  /** Follow those too, from their beginning, that are not there yet. */
  readonly withNew?: boolean;
  readonly signal: AbortSignal;
  readonly onLine: (line: LogLine) => void;
}

/** How often files are looked at; file events don't work everywhere. */
const followIntervalMs = 250;

/** Passes new lines on until `signal` aborts, and those that were there by then. A file that becomes shorter begins anew. */
export async function followLogs({ directory, from, withNew = false, signal, onLine }: FollowLogsOptions) {
  const files = new Map([...from].map(([name, offset]) => [name, { offset, rest: "" }]));
  for (let isLast = false; !isLast; ) {
    isLast = signal.aborted;
    if (withNew) {
      for (const name of await listLogs(directory)) if (!files.has(name)) files.set(name, { offset: 0, rest: "" });
    }
    for (const [name, file] of files) {
      for (const line of await readNew(join(directory, `${name}.log`), file)) onLine(parseLogLine(name, line));
    }
    if (!isLast) await sleep(followIntervalMs, undefined, { signal }).catch(() => {});
  }
}

/** The whole lines that a file has got since the last look. */
async function readNew(path: string, file: { offset: number; rest: string }): Promise<string[]> {
  const size = await sizeOf(path);
  if (size < file.offset) file.offset = 0;
  if (size === file.offset) return [];
  const { text, end } = await readFrom(path, file.offset);
  file.offset = end;
  const lines = (file.rest + text).split("\n");
  file.rest = lines.pop() ?? "";
  return lines.filter((line) => line !== "");
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => ({ size: 0 }))).size;
}

/** From an offset to the end; a negative one counts from the end. */
async function readFrom(path: string, offset: number): Promise<{ text: string; end: number }> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const start = Math.max(offset < 0 ? size + offset : offset, size - tailBytesMax, 0);
    const buffer = Buffer.alloc(Math.max(0, size - start));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, start);
    return { text: buffer.toString("utf8", 0, bytesRead), end: start + bytesRead };
  } finally {
    await file.close();
  }
}

function toLines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

/** Nexus writes JSON lines; what other programs write is kept as it is. */
export function parseLogLine(process: string, line: string): LogLine {
  if (line.startsWith("{")) {
    try {
      const { time, level, message, process: _name, ...fields } = JSON.parse(line) as Record<string, unknown>;
      if (typeof message === "string") {
        return { process, time: asText(time), level: asText(level), message, fields };
      }
    } catch {
      // No JSON after all.
    }
  }
  return { process, time: undefined, level: undefined, message: line, fields: {} };
}

function asText(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

const levelStyles: Readonly<Record<string, StyleName>> = { error: "red", warn: "yellow", debug: "dim" };

/** One JSON object, for programs that collect logs. */
export function toJsonLine({ time, level, process, message, fields }: LogLine): string {
  return JSON.stringify({ time, level, process, message, ...fields });
}

/** `12:04:05.123 gateway warn  message  key=value` */
export function formatLogLine(line: LogLine, { paint }: Terminal, isNamed: boolean): string {
  const style = levelStyles[line.level ?? ""];
  const level = (line.level ?? "").padEnd(5);
  const fields = Object.entries(line.fields).map(([key, value]) => `${key}=${formatField(value)}`);
  return [
    ...(line.time === undefined ? [] : [paint("dim", line.time.slice(11, 23))]),
    ...(isNamed ? [paint("cyan", line.process)] : []),
    ...(line.level === undefined ? [] : [style === undefined ? level : paint(style, level)]),
    printable(line.message),
    ...(fields.length === 0 ? [] : [paint("dim", printable(fields.join(" ")))]),
  ].join(" ");
}

function formatField(value: unknown): string {
  return typeof value === "string" && !/[\s"=]/.test(value) ? value : JSON.stringify(value);
}
