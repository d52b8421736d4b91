import type * as Yaml from "yaml";
import { loadLater } from "../base/load-later.ts";
import { readPlainJson } from "../base/plain-json.ts";

/** A place in the configuration: `["services", 0, "command"]`. */
export type ConfigPath = readonly (string | number)[];

/** A configuration file, read but not yet checked against the schema. */
export interface YamlSource {
  /** What the file says; undefined when it is empty. */
  readonly value: unknown;
  /** Syntax errors. The value means nothing while there are any. */
  readonly errors: readonly { readonly line: number; readonly message: string }[];
  /** Line of a key or, when it isn't there, of its nearest parent. Counts from 1. */
  lineOf(path: ConfigPath): number;
}

/** A file with more nodes behind aliases than this is an attack or a mistake. */
const aliasCountMax = 100;

const yaml = loadLater<typeof Yaml>("yaml");

/** Reads YAML 1.2 (and so JSON). Never throws: what is wrong is in `errors`. */
export function parseYamlSource(text: string): YamlSource {
  const plain = readPlainJson(text);
  // What the parent writes for its gateway. Lines are asked for only when something is wrong.
  if (plain !== undefined) return { ...plain, errors: [], lineOf: (path) => parseYaml(text).lineOf(path) };
  return parseYaml(text);
}

function parseYaml(text: string): YamlSource {
  const { LineCounter, parseDocument } = yaml();
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, stringKeys: true });
  const errors = document.errors.map((error) => ({
    line: lines.linePos(error.pos[0]).line,
    message: error.message.replaceAll(/\s+/g, " "),
  }));
  let value: unknown;
  if (errors.length === 0) {
    try {
      value = document.toJS({ maxAliasCount: aliasCountMax }) ?? undefined;
    } catch (error) {
      errors.push({ line: 1, message: error instanceof Error ? error.message : String(error) });
    }
  }
  return { value, errors, lineOf: (path) => lineOf(document, lines, path) };
}

type YamlDocument = ReturnType<typeof Yaml.parseDocument>;

/** Keys are looked up by hand, because a key's own line is wanted and not that of its value. */
function lineOf(document: YamlDocument, lines: Yaml.LineCounter, path: ConfigPath): number {
  let node: unknown = document.contents;
  let offset = rangeStart(node) ?? 0;
  for (const part of path) {
    const pair = pairsOf(node).find((candidate) => keyOf(candidate) === String(part));
    const next = pair === undefined ? itemAt(node, part) : pair.value;
    const found = rangeStart(pair?.key) ?? rangeStart(next);
    if (found === undefined) break;
    offset = found;
    node = next;
  }
  return lines.linePos(offset).line;
}

interface Pair {
  readonly key: unknown;
  readonly value: unknown;
}

function pairsOf(node: unknown): readonly Pair[] {
  const items = (node as { items?: unknown } | null | undefined)?.items;
  return Array.isArray(items) ? items.filter((item): item is Pair => item !== null && "key" in Object(item)) : [];
}

function keyOf(pair: Pair): string {
  return String((pair.key as { value?: unknown } | null)?.value);
}

function itemAt(node: unknown, part: string | number): unknown {
  const items = (node as { items?: unknown } | null | undefined)?.items;
  return Array.isArray(items) && typeof part === "number" ? items[part] : undefined;
}

function rangeStart(node: unknown): number | undefined {
  const range = (node as { range?: unknown } | null | undefined)?.range;
  return Array.isArray(range) && typeof range[0] === "number" ? range[0] : undefined;
}
