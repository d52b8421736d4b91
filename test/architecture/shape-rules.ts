import type {
  AnyNode,
  ArrowFunctionExpression,
  FunctionDeclaration,
  FunctionExpression,
  ModuleDeclaration,
  Statement,
} from "acorn";
import { type Excuses, isProduct, type Rule, type Violation } from "./rule.ts";
import { lineOf, nodesOf, type SourceFile } from "./source-file.ts";

const fileLinesMax = 400;
const functionLinesMax = 60;
const parametersMax = 4;

/** Tables: nothing in them to understand one line by the other. */
const longFilesExcused: Excuses = {};
const longFunctionsExcused: Excuses = {
  "src/gateway/gateway-metrics.ts": "a table of metrics",
};

const filesAreShort: Rule = {
  name: `files have at most ${fileLinesMax} lines`,
  *find({ files }) {
    for (const { path, text } of files) {
      const lines = text.trimEnd().split("\n").length;
      if (lines <= fileLinesMax || Object.hasOwn(longFilesExcused, path)) continue;
      yield { where: path, what: `has ${lines} lines: split it where its parts are used apart` };
    }
  },
  broken: { "test/integration/a.test.ts": "\n;".repeat(fileLinesMax + 1) },
};

const functionsAreShort: Rule = {
  name: `functions have at most ${functionLinesMax} lines`,
  *find({ files }) {
    for (const file of files) {
      if (file.path.endsWith(".test.ts")) continue;
      for (const node of functionsOf(file)) {
        const lines = (node.loc?.end.line ?? 0) - lineOf(node) + 1;
        const where = `${file.path}:${lineOf(node)}`;
        if (lines <= functionLinesMax || Object.hasOwn(longFunctionsExcused, file.path)) continue;
        yield { where, what: `has ${lines} lines: name its steps and make them functions` };
      }
    }
  },
  broken: { "scripts/a.mjs": `const a = () => {${"\n".repeat(functionLinesMax)}};` },
};

const fewParameters: Rule = {
  name: `functions have at most ${parametersMax} parameters`,
  *find({ files }) {
    for (const file of files) {
      for (const node of functionsOf(file)) {
        if (node.params.length <= parametersMax) continue;
        const where = `${file.path}:${lineOf(node)}`;
        yield { where, what: `has ${node.params.length} parameters: take an object whose fields have names` };
      }
    }
  },
  broken: { "src/base/a.ts": "export function a(b: 1, c: 2, d: 3, e: 4, f: 5) {}" },
};

type FunctionNode = ArrowFunctionExpression | FunctionDeclaration | FunctionExpression;

function* functionsOf(file: SourceFile): Generator<FunctionNode> {
  for (const node of nodesOf(file.program)) if (isFunction(node)) yield node;
}

function isFunction(node: AnyNode): node is FunctionNode {
  return /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type);
}

const defaultExportsExcused: Excuses = {
  "scripts/test/events.mjs": "Node takes a test reporter from the default export",
};

const noDefaultExports: Rule = {
  name: "exports have names",
  *find({ files }) {
    for (const { path, program } of files) {
      if (Object.hasOwn(defaultExportsExcused, path)) continue;
      for (const node of program.body) {
        const isDefault =
          node.type === "ExportDefaultDeclaration" ||
          (node.type === "ExportNamedDeclaration" &&
            node.specifiers.some(({ exported }) => exported.type === "Identifier" && exported.name === "default"));
        if (isDefault) yield { where: `${path}:${lineOf(node)}`, what: "is a default export: give it a name" };
      }
    }
  },
  broken: { "src/base/a.ts": "export default 1;", "src/base/b.ts": "const a = 1; export { a as default };" },
};

const environmentExcused = /^(src\/main\.ts|src\/config\/load\.ts|src\/cli\/.*|services\/[^/]+\/src\/main\.ts)$/;

const environmentIsReadOnce: Rule = {
  name: "only the entrances read the environment",
  *find({ files }) {
    for (const { path, program } of files) {
      if (!isProduct(path) || environmentExcused.test(path)) continue;
      for (const node of nodesOf(program)) {
        if (isEnvironment(node)) yield { where: `${path}:${lineOf(node)}`, what: "reads process.env: take the value" };
      }
    }
  },
  broken: {
    "src/base/a.ts": "export const a = () => process.env.HOME;",
    "src/base/b.ts": `import { env } from "node:process";`,
    "services/echo/src/a.ts": "export const { env } = process;",
  },
};

function isEnvironment(node: AnyNode): boolean {
  if (node.type === "MemberExpression") {
    return isNamed(node.object, "process") && isNamed(node.property, "env");
  }
  if (node.type === "VariableDeclarator") {
    return isNamed(node.init, "process") && node.id.type === "ObjectPattern";
  }
  return node.type === "ImportDeclaration" && /^(node:)?process$/.test(String(node.source.value));
}

function isNamed(node: AnyNode | null | undefined, name: string): boolean {
  return node?.type === "Identifier" && node.name === name;
}

/** Files that are started, not imported: as a process, or as a thread of a service. */
const entrances =
  /^(src\/(main|blobs\/convert-process)\.ts|services\/[^/]+\/src\/(main|[a-z0-9-]+-(thread|worker))\.ts)$/;

const sideEffectsExcused: Excuses = {
  "src/config/loopback.ts": "fills a constant list of addresses",
  "src/dialects/forbidden-address.ts": "fills a constant list of addresses",
};

/** Modules of which a call at import does something to the world. */
const effectful =
  /^(node:(child_process|cluster|dgram|dns|fs|http|http2|https|net|sqlite|timers|tls|worker_threads)|undici$)/;
/** What these modules have that only computes. */
const computes = new Set(["BlockList", "isIP", "isIPv4", "isIPv6"]);
const effectfulGlobals = ["fetch", "process", "setImmediate", "setInterval", "setTimeout"];

const importingDoesNothing: Rule = {
  name: "importing a file does nothing",
  *find({ files }) {
    for (const file of files) {
      if (!isProduct(file.path) || entrances.test(file.path) || Object.hasOwn(sideEffectsExcused, file.path)) continue;
      const effects = effectfulNames(file);
      for (const statement of file.program.body) yield* effectsOf(file.path, statement, effects);
    }
  },
  broken: {
    "src/base/a.ts": "console.log(1);",
    "src/base/b.ts": "export const a = await b();",
    "src/base/c.ts": `import { readFileSync } from "node:fs"; export const a = { b: readFileSync("c") };`,
    "src/base/d.ts": "for (const a of [1]) {}",
    "src/base/h.ts": "if (import.meta.main) start();",
    "src/base/e.ts": "export const a = setInterval(() => {}, 1);",
    "src/base/f.ts": "export const a = process.cwd();",
    "src/base/g.ts": `import { Agent } from "undici"; export const a = new Agent();`,
  },
};

/** The names in a file whose call acts on the world. */
function effectfulNames(file: SourceFile): ReadonlySet<string> {
  const names = new Set(effectfulGlobals);
  for (const node of file.program.body) {
    if (node.type !== "ImportDeclaration" || !effectful.test(String(node.source.value))) continue;
    for (const { local } of node.specifiers) if (!computes.has(local.name)) names.add(local.name);
  }
  return names;
}

function* effectsOf(
  path: string,
  statement: Statement | ModuleDeclaration,
  effects: ReadonlySet<string>,
): Generator<Violation> {
  const where = `${path}:${lineOf(statement)}`;
  if (!isDeclaration(statement)) {
    yield { where, what: "does something when the file is imported: put it into a function that is called" };
    return;
  }
  for (const node of nodesOf(statement, isFunction)) {
    const called = node.type === "CallExpression" || node.type === "NewExpression" ? rootName(node.callee) : undefined;
    const isEffect = node.type === "AwaitExpression" || (called !== undefined && effects.has(called));
    if (isEffect)
      yield { where: `${path}:${lineOf(node)}`, what: "acts at import: put it into a function that is called" };
  }
}

function isDeclaration(statement: Statement | ModuleDeclaration): boolean {
  return /^(Import|Export\w+|Function|Class|Variable)Declaration$/.test(statement.type);
}

/** `process` of `process.stdout.write`. */
function rootName(node: AnyNode): string | undefined {
  if (node.type === "MemberExpression") return rootName(node.object);
  return node.type === "Identifier" ? node.name : undefined;
}

export const shapeRules: readonly Rule[] = [
  filesAreShort,
  functionsAreShort,
  fewParameters,
  noDefaultExports,
  environmentIsReadOnce,
  importingDoesNothing,
];
