import { stripTypeScriptTypes } from "node:module";
import { dirname, join } from "node:path/posix";
import { type AnyNode, type Program, parse } from "acorn";

/** One import or re-export, static or dynamic. */
export interface Import {
  /** A path from the repository's root for relative imports, else the specifier: `src/base/clock.ts`, `node:fs`, `zod`. */
  readonly target: string;
  /** `@scope/name` or `name` of the package it comes from, if it comes from one. */
  readonly packageName: string | undefined;
  /** Gone at runtime. */
  readonly isType: boolean;
  readonly line: number;
}

/** A source file as the rules see it. */
export interface SourceFile {
  /** From the repository's root, with `/`. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
  /** What is left without types, with every line and column where it was. */
  readonly program: Program;
}

/** @throws SyntaxError with the path in its message. */
export function parseSource(path: string, text: string): SourceFile {
  try {
    const code = path.endsWith(".ts") ? stripTypeScriptTypes(text) : text;
    const program = parse(code, { ecmaVersion: "latest", sourceType: "module", locations: true, allowHashBang: true });
    return { path, text, program, imports: [...runtimeImports(path, program), ...typeImports(path, text, code)] };
  } catch (error) {
    throw new SyntaxError(`${path} cannot be read: ${String(error)}`, { cause: error });
  }
}

function runtimeImports(path: string, program: Program): Import[] {
  const imports: Import[] = [];
  for (const node of nodesOf(program)) {
    if (!("source" in node) || node.source?.type !== "Literal" || typeof node.source.value !== "string") continue;
    imports.push(describeImport(path, node.source.value, { isType: false, line: lineOf(node) }));
  }
  return imports;
}

const typeImport = /^(?:import|export) type [^;]*? from "([^"]+)"|\bimport\("([^"]+)"\)/gm;

/** Stripping leaves blanks where the types were, so what is only in the original is a type. */
function typeImports(path: string, text: string, code: string): Import[] {
  const imports: Import[] = [];
  for (const match of text.matchAll(typeImport)) {
    if (code.startsWith(match[0], match.index)) continue;
    const line = text.slice(0, match.index).split("\n").length;
    imports.push(describeImport(path, match[1] ?? match[2] ?? "", { isType: true, line }));
  }
  return imports;
}

function describeImport(path: string, specifier: string, rest: Pick<Import, "isType" | "line">): Import {
  const isRelative = specifier.startsWith(".");
  const packageName = /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0];
  return {
    ...rest,
    target: isRelative ? join(dirname(path), specifier) : specifier,
    packageName: isRelative || specifier.startsWith("node:") ? undefined : packageName,
  };
}

/** The node and everything below it, parents first; not below what `isClosed` says. */
export function* nodesOf(node: AnyNode, isClosed: (node: AnyNode) => boolean = () => false): Generator<AnyNode> {
  yield node;
  if (isClosed(node)) return;
  for (const value of Object.values(node) as unknown[]) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child)) yield* nodesOf(child, isClosed);
    }
  }
}

function isNode(value: unknown): value is AnyNode {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

export function lineOf(node: AnyNode): number {
  return node.loc?.start.line ?? 0;
}
