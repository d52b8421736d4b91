import type * as Cel from "@marcbachmann/cel-js";
import type { ASTNode, Environment } from "@marcbachmann/cel-js";
import { closestName } from "../base/close-names.ts";
import { loadLater } from "../base/load-later.ts";
import { type VariableTypes, variables } from "./facts.ts";
import { expandQuantities, type Rewritten, UnknownUnit } from "./quantity.ts";

/** Most gateways have no expressions. */
const cel = loadLater<typeof Cel>("@marcbachmann/cel-js");

/** A `where` expression, ready for use. */
export interface Selector {
  readonly source: string;
  /** Undefined when the facts fit, else why not: not true of them, or something is unknown. Never throws. */
  mismatch(facts: Readonly<Record<string, unknown>>): string | undefined;
}

/** The expression can't be used. The message says why and points at the place. */
export class SelectorError extends Error {
  override readonly name = "SelectorError";

  constructor(summary: string, place?: { readonly source: string; readonly start: number; readonly end: number }) {
    super(place === undefined ? summary : `${summary}\n${pointAt(place)}`);
  }
}

/** Longer expressions are refused: they are read by people. */
export const selectorCharactersMax = 1024;

/** With these, and with nothing that repeats or matches patterns, the cost is bounded by the expression's length. */
const functions = ["double", "has", "int", "size", "string"];
const methods = ["contains", "endsWith", "lowerAscii", "size", "startsWith", "trim", "upperAscii"];

/**
 * Reads and checks an expression over the variables of `facts.ts`: every name, every type, and that it is true or false.
 * @throws SelectorError
 */
export function compileSelector(source: string): Selector {
  if (source.length > selectorCharactersMax) {
    throw new SelectorError(`an expression has at most ${selectorCharactersMax} characters`);
  }
  const expanded = expand(source);
  const explain = (error: unknown) => describe(error, source, expanded);
  let program: ReturnType<Environment["parse"]>;
  try {
    program = environment().parse(expanded.text);
    refuseCalls(program.ast);
  } catch (error) {
    throw explain(error);
  }
  const checked = program.check();
  if (checked.error !== undefined) throw explain(checked.error);
  if (checked.type !== "bool" && checked.type !== "dyn") {
    throw new SelectorError(`must be true or false, and this is ${typeName(checked.type ?? "")}: compare it with one`);
  }
  const needed = neededPaths(program.ast);
  return {
    source,
    mismatch(facts) {
      // Telling what is missing beforehand is ten times as fast as catching what the evaluation throws.
      const missing = needed.find((path) => !isKnown(facts, path));
      if (missing !== undefined) return unknownValue(missing, source);
      try {
        return program(facts) === true ? undefined : `does not fit \`${source}\``;
      } catch (error) {
        return describeUnmet(error, source);
      }
    },
  };
}

let prepared: Environment | undefined;

/** Made once, when the first expression is read. */
function environment(): Environment {
  if (prepared !== undefined) return prepared;
  const made = new (cel().Environment)({ limits: { maxAstNodes: 256, maxDepth: 32, maxListElements: 64 } });
  // Whole and broken numbers compare by `<` already; `host.cpu == 8` is meant just so, either way round.
  made.registerOperator("double == int", (left: number, right: bigint) => left === Number(right));
  for (const [name, type] of Object.entries(variables)) {
    if (typeof type === "string") made.registerVariable(name, type);
    else made.registerVariable({ name, schema: { ...type } });
  }
  prepared = made;
  return prepared;
}

function expand(source: string): Rewritten {
  try {
    return expandQuantities(source);
  } catch (error) {
    if (error instanceof UnknownUnit) {
      throw new SelectorError(error.message, { source, start: error.start, end: error.end });
    }
    throw error;
  }
}

/** A call that is not on the lists. Found before the types are checked, so that the message can say what there is. */
class RefusedCall extends Error {
  readonly range: ASTNode["range"];

  constructor(message: string, range: ASTNode["range"]) {
    super(message);
    this.range = range;
  }
}

function refuseCalls(node: ASTNode): void {
  if (node.op === "call" || node.op === "rcall") {
    const known = node.op === "call" ? functions : methods;
    const [name] = node.args;
    if (!known.includes(name)) {
      const meant = closestName(name, known);
      const hint = meant === undefined ? `there are ${known.join(", ")}` : `did you mean '${meant}'?`;
      throw new RefusedCall(`no such function: ${name}; ${hint}`, node.range);
    }
  }
  for (const child of childrenOf(node)) refuseCalls(child);
}

function childrenOf(node: ASTNode): readonly ASTNode[] {
  switch (node.op) {
    case "value":
    case "id":
      return [];
    case ".":
    case ".?":
      return [node.args[0]];
    case "!_":
    case "-_":
      return [node.args];
    case "call":
      return node.args[1];
    case "rcall":
      return [node.args[1], ...node.args[2]];
    case "map":
      return node.args.flat();
    default:
      return node.args;
  }
}

/** `host.gpu.memory` as its parts; undefined when it is something else than names and dots. */
function pathOf(node: ASTNode): readonly string[] | undefined {
  if (node.op === "id") return [node.args];
  if (node.op === "[]") {
    const [owner, key] = node.args;
    const path = pathOf(owner);
    return path !== undefined && key.op === "value" && typeof key.args === "string" ? [...path, key.args] : undefined;
  }
  if (node.op !== ".") return undefined;
  const owner = pathOf(node.args[0]);
  return owner === undefined ? undefined : [...owner, node.args[1]];
}

/** Values without which the expression can't be true: all of them but what alternatives and `has` look at. */
function neededPaths(node: ASTNode): readonly (readonly string[])[] {
  if (node.op === "||" || node.op === "?:" || (node.op === "call" && node.args[0] === "has")) return [];
  const path = pathOf(node);
  return path === undefined ? childrenOf(node).flatMap(neededPaths) : [path];
}

function isKnown(facts: unknown, path: readonly string[]): boolean {
  let value = facts;
  for (const name of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return false;
    value = (value as Record<string, unknown>)[name];
  }
  return true;
}

function unknownValue(path: readonly string[], source: string): string {
  return `\`${path.join(".")}\` is not known of it, and the route asks for \`${source}\``;
}

function describeUnmet(error: unknown, source: string): string {
  if (!(error instanceof cel().EvaluationError)) return `can't be held against \`${source}\``;
  const path = error.code === "no_such_key" && error.node !== undefined ? pathOf(error.node) : undefined;
  return path === undefined ? `can't be held against \`${source}\`: ${error.summary}` : unknownValue(path, source);
}

/** Why an expression can't be compiled, with the place as it is in the operator's own text. */
function describe(error: unknown, source: string, expanded: Rewritten): SelectorError {
  const isOurs = error instanceof RefusedCall;
  if (!isOurs && !(error instanceof cel().ParseError) && !(error instanceof cel().TypeError)) throw error;
  const summary = isOurs ? error.message : (describeUnknownName(error) ?? lowerFirst(error.summary));
  const { range } = error;
  if (range === undefined) return new SelectorError(summary);
  const [start, end] = [expanded.originalOffset(range.start), expanded.originalOffset(range.end)];
  return new SelectorError(summary, { source, start, end });
}

function describeUnknownName({ code, node }: Cel.ParseError | Cel.TypeError): string | undefined {
  if (node === undefined || !("args" in node)) return undefined;
  const path = pathOf(node as ASTNode);
  const name = path?.at(-1);
  if (path === undefined || name === undefined || (code !== "unknown_variable" && code !== "no_such_key"))
    return undefined;
  const owner = path.slice(0, -1);
  const known = Object.keys(owner.reduce<VariableTypes>(membersOf, variables));
  const meant = closestName(name, known);
  const hint = meant === undefined ? `there are ${known.join(", ")}` : `did you mean '${[...owner, meant].join(".")}'?`;
  return `unknown name '${path.join(".")}'; ${hint}`;
}

function membersOf(types: VariableTypes, name: string): VariableTypes {
  const type = Object.hasOwn(types, name) ? types[name] : undefined;
  return typeof type === "object" ? type : {};
}

/** A group of variables has an internal name in the library. */
function typeName(type: string): string {
  return type.startsWith("$") ? "a group of values" : `of type ${type}`;
}

function pointAt({ source, start, end }: { source: string; start: number; end: number }): string {
  const from = source.lastIndexOf("\n", start - 1) + 1;
  const to = source.indexOf("\n", start);
  const line = source.slice(from, to === -1 ? undefined : to);
  const width = Math.max(1, Math.min(end, from + line.length) - start);
  return `    ${line}\n    ${" ".repeat(start - from)}${"^".repeat(width)}`;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
