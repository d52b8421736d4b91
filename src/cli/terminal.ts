import { stripVTControlCharacters } from "node:util";

/** What the terminal layer needs of a stream. */
export interface TerminalStream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

export interface TerminalOptions {
  readonly stdout: TerminalStream;
  readonly stderr: TerminalStream;
  readonly stdin: { readonly isTTY?: boolean | undefined };
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const styleCodes = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

export type StyleName = keyof typeof styleCodes;

/** Adds colour where the stream shows it. */
export type Palette = (style: StyleName, text: string) => string;

/** A piece of a table. Text from elsewhere is made safe before it is styled. */
export type Cell = string | { readonly text: string; readonly style: StyleName };

/** A few lines at the end of the screen that are drawn again and again. */
export interface LiveArea {
  update(lines: readonly string[]): void;
  /** Takes the lines away. */
  clear(): void;
}

/** All that a verb says goes through here: answers to stdout, everything else to stderr. */
export interface Terminal {
  /** Writes to stdout as it is. */
  write(text: string): void;
  /** Lines to stdout. */
  print(...lines: readonly string[]): void;
  /** Lines to stderr. */
  note(...lines: readonly string[]): void;
  /** For stdout. */
  readonly paint: Palette;
  /** For stderr. */
  readonly paintNote: Palette;
  /** Somebody sits in front of it: questions and live output make sense. */
  readonly isInteractive: boolean;
  /** Whether stderr shows live output. */
  readonly isLive: boolean;
  readonly columns: number;
  /** Aligned columns for stdout. The last one is cut where the terminal ends. */
  table(rows: readonly (readonly Cell[])[], header?: readonly string[]): string[];
  /** Drawn on stderr; does nothing when that is no terminal. */
  live(): LiveArea;
}

/** Nothing is coloured when NO_COLOR is set (https://no-color.org) or the stream is no terminal. */
export function createTerminal(options: TerminalOptions): Terminal {
  const { stdout, stderr, environment } = options;
  const mayColour = (environment.NO_COLOR ?? "") === "" && environment.TERM !== "dumb";
  const paint = paletteFor(mayColour && stdout.isTTY === true);
  const columnsNow = () => stdout.columns ?? stderr.columns ?? 100;
  const isLive = stderr.isTTY === true && environment.TERM !== "dumb";
  return {
    write: (text) => void stdout.write(text),
    print: (...lines) => writeLines(stdout, lines),
    note: (...lines) => writeLines(stderr, lines),
    paint,
    paintNote: paletteFor(mayColour && stderr.isTTY === true),
    isInteractive: options.stdin.isTTY === true && stdout.isTTY === true,
    isLive,
    get columns() {
      return columnsNow();
    },
    table: (rows, header) =>
      layOutTable(rows, header, { paint, width: stdout.isTTY === true ? columnsNow() : undefined }),
    live: () => (isLive ? createLiveArea(stderr) : { update: () => {}, clear: () => {} }),
  };
}

function writeLines(stream: TerminalStream, lines: readonly string[]): void {
  if (lines.length > 0) stream.write(lines.map((line) => `${line}\n`).join(""));
}

function paletteFor(isColoured: boolean): Palette {
  if (!isColoured) return (_style, text) => text;
  return (style, text) => `\u001b[${styleCodes[style][0]}m${text}\u001b[${styleCodes[style][1]}m`;
}

/**
 * Text from services and models, safe to show: it can't move the cursor, change the title or pretend to be another
 * line. Tabs and, with `keepLines`, line ends stay.
 */
export function printable(text: string, options: { keepLines?: boolean } = {}): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it takes out
  const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;
  const safe = stripVTControlCharacters(text).replaceAll(controls, "");
  return options.keepLines === true ? safe : safe.replaceAll(/\s*\n\s*/g, " ");
}

function widthOf(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}

/** Cuts to `width` columns, with an ellipsis for what is gone. */
export function truncate(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, Math.max(0, width - 1)).join("")}…`;
}

const gap = 2;

function layOutTable(
  rows: readonly (readonly Cell[])[],
  header: readonly string[] | undefined,
  options: { paint: Palette; width: number | undefined },
): string[] {
  const { paint, width } = options;
  const head: readonly Cell[][] = header === undefined ? [] : [header.map((text) => ({ text, style: "dim" }))];
  const cells = [...head, ...rows].map((row) =>
    row.map((cell) => (typeof cell === "string" ? { text: printable(cell) } : { ...cell, text: printable(cell.text) })),
  );
  const columnCount = Math.max(0, ...cells.map((row) => row.length));
  const widths = Array.from({ length: columnCount }, (_, column) =>
    Math.max(...cells.map((row) => widthOf(row[column]?.text ?? ""))),
  );
  return cells.map((row) => {
    let used = 0;
    const parts = row.map((cell, column) => {
      const isLast = column === row.length - 1;
      const text = isLast && width !== undefined ? truncate(cell.text, Math.max(8, width - used)) : cell.text;
      const full = widths[column] ?? 0;
      used += full + gap;
      const styled = "style" in cell ? paint(cell.style, text) : text;
      return isLast ? styled : `${styled}${" ".repeat(full - widthOf(text) + gap)}`;
    });
    return parts.join("");
  });
}

function createLiveArea(stream: TerminalStream): LiveArea {
  let drawn = 0;
  const erase = () => (drawn === 0 ? "" : `\u001b[${drawn}A\u001b[0J`);
  return {
    update(lines) {
      const width = Math.max(20, (stream.columns ?? 100) - 1);
      // A line that wraps would make the next erase leave a rest behind.
      const fitting = lines.map((line) => (widthOf(line) <= width ? line : truncate(printable(line), width)));
      stream.write(`${erase()}${fitting.map((line) => `${line}\n`).join("")}`);
      drawn = fitting.length;
    },
    clear() {
      stream.write(erase());
      drawn = 0;
    },
  };
}

/** `████████░░░░  62 %` */
export function progressBar(fraction: number, width = 24): string {
  const bounded = Math.min(1, Math.max(0, fraction));
  const full = Math.round(bounded * width);
  return `${"█".repeat(full)}${"░".repeat(width - full)} ${String(Math.round(bounded * 100)).padStart(3)} %`;
}

/** `3 s`, `2 min 5 s`, `4 h 12 min`, `6 d 3 h` */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts: [amount: number, unit: string][] = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3_600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first === -1) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");
}

/** `105 MB`: decimal units, as disks and downloads are counted. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let amount = bytes;
  let unit = 0;
  while (amount >= 999.5 && unit < units.length - 1) {
    amount /= 1000;
    unit++;
  }
  return `${amount >= 10 || unit === 0 ? Math.round(amount) : amount.toFixed(1)} ${units[unit]}`;
}
