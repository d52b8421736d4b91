import { open, stat } from "node:fs/promises";
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

/** How often files are looked at; file events don't work everywhere. */
const followIntervalMs = 250;

/** Passes new lines on until `signal` aborts. A file that becomes shorter begins anew. */
export async function followLogs(
  directory: string,
  names: readonly string[],
  signal: AbortSignal,
  onLine: (line: LogLine) => void,
): Promise<void> {
  const files = await Promise.all(
    names.map(async (name) => {
      const path = join(directory, `${name}.log`);
      return { name, path, offset: await sizeOf(path), rest: "" };
    }),
  );
  while (!signal.aborted) {
    for (const file of files) {
      const size = await sizeOf(file.path);
      if (size < file.offset) file.offset = 0;
      if (size === file.offset) continue;
      const { text, end } = await readFrom(file.path, file.offset);
      file.offset = end;
      const lines = (file.rest + text).split("\n");
      file.rest = lines.pop() ?? "";
      for (const line of lines.filter((line) => line !== "")) onLine(parseLogLine(file.name, line));
    }
    await sleep(followIntervalMs, undefined, { signal }).catch(() => {});
  }
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
