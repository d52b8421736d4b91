import { type Room, rooms } from "./rooms.ts";
import { type Excuses, isProduct, type Rule, roomOf, type Violation } from "./rule.ts";
import { type Import, lineOf, nodesOf, type SourceFile } from "./source-file.ts";

function* importsOf(files: readonly SourceFile[]): Generator<{ file: SourceFile; found: Import; where: string }> {
  for (const file of files) {
    if (!isProduct(file.path)) continue;
    for (const found of file.imports) yield { file, found, where: `${file.path}:${found.line}` };
  }
}

function mayImport(room: Room, found: Import): boolean {
  const target = roomOf(found.target);
  if (target === undefined) return false;
  const names = found.isType ? [...room.imports, ...(room.types ?? [])] : room.imports;
  const isConfig = found.target === `src/${target}/config.ts`;
  return names.some((name) => name === "*" || name === target || (name === "*/config.ts" && isConfig));
}

const everyFileIsInARoom: Rule = {
  name: "every file is in a room",
  *find({ files }) {
    for (const { path } of files) {
      if (!path.startsWith("src/") || path === "src/main.ts") continue;
      const room = roomOf(path);
      if (room !== undefined && Object.hasOwn(rooms, room)) continue;
      yield { where: path, what: "is in no room: add the room, and what it may import, to test/architecture/rooms.ts" };
    }
  },
  broken: { "src/attic/box.ts": "", "src/loose.ts": "" },
};

const roomsKnowWhatTheyAreBuiltOn: Rule = {
  name: "a room imports only rooms that it is built on",
  *find({ files }) {
    for (const { file, found, where } of importsOf(files)) {
      const own = roomOf(file.path);
      const room = own === undefined ? undefined : rooms[own];
      const isInside = found.target.startsWith(`src/${own}/`) || !found.target.startsWith("src/");
      if (room === undefined || isInside || mayImport(room, found)) continue;
      const advice = found.isType ? "" : "; a type alone may be allowed: `import type`";
      yield {
        where,
        what: `${own} may not import ${found.target} (see test/architecture/rooms.ts): take what is needed as an argument, or move it down into a room that both know${advice}`,
      };
    }
  },
  broken: {
    "src/base/a.ts": `import { x } from "../contract/x.ts";`,
    "src/gateway/a.ts": `import type { x } from "../supervisor/x.ts";`,
    "src/routing/a.ts": `export { x } from "../registry/x.ts";`,
    "src/cli/a.ts": `const x = await import("../roles/x.ts");`,
  },
};

const servicesStandAlone: Rule = {
  name: "a service imports Nexus as its users do",
  *find({ files }) {
    for (const { file, found, where } of importsOf(files)) {
      const [, service] = /^services\/([^/]+)\//.exec(file.path) ?? [];
      const isRelative = /^(src|services)\//.test(found.target);
      if (service === undefined || !isRelative || found.target.startsWith(`services/${service}/`)) continue;
      yield { where, what: `reaches into ${found.target}: import from "nexus/..." what package.json exports` };
    }
    for (const { file, found, where } of importsOf(files)) {
      if (!file.path.startsWith("src/") || !found.target.startsWith("services/")) continue;
      yield { where, what: "the house does not know its services: start them as processes" };
    }
  },
  broken: {
    "services/echo/src/a.ts": `import { x } from "../../../src/base/x.ts";`,
    "src/roles/a.ts": `import { x } from "../../services/llm/src/x.ts";`,
  },
};

const mainOnlyStarts: Rule = {
  name: "nothing imports src/main.ts",
  *find({ files }) {
    for (const { found, where } of importsOf(files)) {
      if (found.target === "src/main.ts") yield { where, what: "move what is needed out of src/main.ts into a room" };
    }
  },
  broken: { "src/cli/a.ts": `import "../main.ts";` },
};

const packagesOfARoom: Rule = {
  name: "base and contract weigh nothing",
  *find({ files }) {
    for (const { file, found, where } of importsOf(files)) {
      const allowed = rooms[roomOf(file.path) ?? ""]?.packages;
      if (allowed === undefined || /^(src\/|node:)/.test(found.target) || allowed.includes(found.target)) continue;
      yield { where, what: `imports ${found.target}: whoever uses this room would carry it; do this in another room` };
    }
  },
  broken: { "src/contract/a.ts": `import { request } from "undici";` },
};

/** Who may know what. Paths are prefixes, or patterns where a part of a name decides. */
interface Knowledge {
  readonly of: string;
  readonly packages: RegExp;
  readonly homes: readonly RegExp[];
  /** Files beside the homes, each with its reason. */
  readonly excused: Excuses;
  readonly typesAreFree?: true;
}

const knowledge: readonly Knowledge[] = [
  {
    of: "an HTTP framework",
    packages: /^(@?fastify|express|hono|koa)(\/|$)/,
    homes: [/^src\/gateway\/server\.ts$/, /^src\/control\//, /^src\/service-kit\//],
    excused: {},
  },
  { of: "etcd", packages: /^(etcd3|@grpc\/)/, homes: [/^src\/registry\/etcd/], excused: {} },
  { of: "Docker", packages: /^docker/, homes: [/^src\/supervisor\/docker/], excused: {} },
  {
    of: "SQL",
    packages: /^(node:sqlite|better-sqlite3|kysely|pg)(\/|$)/,
    homes: [/^src\/store\//, /^src\/[^/]+\/[^/]*store[^/]*\.ts$/],
    excused: {},
  },
  {
    of: "Node's own HTTP",
    packages: /^node:(http|https|http2)$/,
    homes: [/^src\/gateway\/server\.ts$/, /^src\/gateway\/http\//, /^src\/service-kit\/http-server\.ts$/],
    excused: {
      "src/cli/http-client.ts": "a verb must start in milliseconds; loading undici takes longer than the request",
      "src/contract/conformance/announce-body.ts": "sends headers that every other client refuses to send",
    },
    typesAreFree: true,
  },
];

const knowledgeHasAHome: Rule = {
  name: "HTTP frameworks, etcd, Docker and SQL are known in one place each",
  *find({ files }) {
    for (const { file, found, where } of importsOf(files)) {
      for (const { of, packages, homes, excused, typesAreFree } of knowledge) {
        if (!packages.test(found.target) || (typesAreFree && found.isType)) continue;
        if (homes.some((home) => home.test(file.path)) || Object.hasOwn(excused, file.path)) continue;
        yield { where, what: `knows ${of} (${found.target}): go through the room that does` };
      }
    }
  },
  broken: {
    "src/roles/a.ts": `import fastify from "fastify";`,
    "src/registry/a.ts": `import { Etcd3 } from "etcd3";`,
    "src/supervisor/process.ts": `import Docker from "dockerode";`,
    "src/gateway/a.ts": `import { DatabaseSync } from "node:sqlite";`,
    "src/attach/a.ts": `import { request } from "node:http";`,
  },
};

/** What a pure room may take from Node: things that compute. */
const pureBuiltins = /^node:(buffer|string_decoder|util)$/;
const impureGlobals = new Set([
  "console",
  "fetch",
  "performance",
  "process",
  "queueMicrotask",
  "setImmediate",
  "setInterval",
  "setTimeout",
]);
const impureMembers = new Set(["Date.now", "Math.random", "crypto.randomUUID", "crypto.getRandomValues"]);

const pureRoomsDecide: Rule = {
  name: "pure rooms decide and never act",
  *find({ files }) {
    const pure = files.filter(({ path }) => rooms[roomOf(path) ?? ""]?.isPure);
    for (const { file, found, where } of importsOf(pure)) {
      const computing = rooms[roomOf(file.path) ?? ""]?.packages ?? [];
      if (found.isType || /^src\//.test(found.target) || pureBuiltins.test(found.target)) continue;
      if (computing.includes(found.target)) continue;
      yield { where, what: `imports ${found.target}: let the caller do it and hand in the result` };
    }
    for (const file of pure) if (isProduct(file.path)) yield* impureUses(file);
  },
  broken: {
    "src/routing/a.ts": `export const pick = () => Math.random();`,
    "src/openai/a.ts": `export const later = (run) => setTimeout(run, 1);`,
    "src/openai/b.ts": `import { readFileSync } from "node:fs";`,
    "src/routing/b.ts": `import { request } from "undici";`,
    "src/routing/c.ts": `export const now = () => new Date();`,
  },
};

function* impureUses(file: SourceFile): Generator<Violation> {
  for (const node of nodesOf(file.program)) {
    let used: string | undefined;
    if (node.type === "MemberExpression" && node.object.type === "Identifier" && node.property.type === "Identifier") {
      const { name } = node.object;
      if (impureMembers.has(`${name}.${node.property.name}`)) used = `${name}.${node.property.name}`;
      if (impureGlobals.has(name)) used = name;
    }
    const isCall = node.type === "CallExpression" || node.type === "NewExpression";
    if (isCall && node.callee.type === "Identifier") {
      if (impureGlobals.has(node.callee.name)) used = node.callee.name;
      if (node.callee.name === "Date" && node.arguments.length === 0) used = "new Date()";
    }
    if (used === undefined) continue;
    yield { where: `${file.path}:${lineOf(node)}`, what: `uses ${used}: let the caller do it and hand in the result` };
  }
}

const noCycles: Rule = {
  name: "nothing needs itself to be loaded",
  *find({ files }) {
    const graph = new Map(
      files
        .filter(({ path }) => isProduct(path))
        .map(({ path, imports }) => [path, imports.filter(({ isType }) => !isType).map(({ target }) => target)]),
    );
    const done = new Set<string>();
    for (const path of graph.keys()) {
      const cycle = findCycle(graph, path, done, []);
      if (cycle === undefined) continue;
      for (const member of cycle) done.add(member);
      const what = `is loaded to load itself: ${cycle.join(" -> ")}. Move what both sides need into a file of its own`;
      yield { where: cycle[0] ?? path, what };
    }
  },
  broken: { "src/base/a.ts": `import { b } from "./b.ts";` },
  beside: {
    "src/base/b.ts": `export { c } from "./c.ts";`,
    "src/base/c.ts": `export const c = async () => await import("./a.ts");`,
  },
};

function findCycle(
  graph: ReadonlyMap<string, readonly string[]>,
  path: string,
  done: Set<string>,
  above: readonly string[],
): readonly string[] | undefined {
  const start = above.indexOf(path);
  if (start >= 0) return [...above.slice(start), path];
  if (done.has(path)) return undefined;
  for (const target of graph.get(path) ?? []) {
    const cycle = findCycle(graph, target, done, [...above, path]);
    if (cycle !== undefined) return cycle;
  }
  done.add(path);
  return undefined;
}

export const importRules: readonly Rule[] = [
  everyFileIsInARoom,
  roomsKnowWhatTheyAreBuiltOn,
  servicesStandAlone,
  mainOnlyStarts,
  packagesOfARoom,
  knowledgeHasAHome,
  pureRoomsDecide,
  noCycles,
];
