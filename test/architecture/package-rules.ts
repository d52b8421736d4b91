import type { Package } from "./package-file.ts";
import { type Excuses, isProduct, type Rule } from "./rule.ts";
import type { SourceFile } from "./source-file.ts";

/** Packages that are used without being imported. */
const toolsExcused: Excuses = {
  "@biomejs/biome": "formats and lints",
  "@types/node": "types of Node",
  "@types/pg": "types of pg",
  "@types/ws": "types of ws",
  typescript: "checks types",
};

const importedIsDeclared: Rule = {
  name: "a package is declared where it is imported",
  *find({ files, packages }) {
    const shared = packages.find(({ folder }) => folder === "");
    for (const file of files) {
      const owner = ownerOf(file, packages);
      const declared = isProduct(file.path)
        ? [owner?.dependencies, owner?.optionalDependencies]
        : // What tests are written with stands once, at the root.
          [owner?.dependencies, owner?.devDependencies, shared?.dependencies, shared?.devDependencies];
      for (const { packageName: name, line } of file.imports) {
        if (name === undefined || declared.some((versions) => Object.hasOwn(versions ?? {}, name))) continue;
        const where = `${file.path}:${line}`;
        const home = isProduct(file.path) ? `dependencies of ${owner?.path}` : "devDependencies of package.json";
        yield { where, what: `imports ${name}, which is not in the ${home}: add it with an exact version` };
      }
    }
  },
  broken: {
    "src/base/a.ts": `import fc from "fast-check";`,
    "test/a.test.ts": `import type { B } from "@types/b/c";`,
    "services/echo/src/a.ts": `import { z } from "zod";`,
  },
  beside: {
    "package.json": `{ "dependencies": { "zod": "1.0.0" }, "devDependencies": { "fast-check": "1.0.0" } }`,
    "services/echo/package.json": "{}",
  },
};

const declaredIsImported: Rule = {
  name: "a package that is declared is imported",
  *find({ files, packages }) {
    for (const owner of packages) {
      const inside = files.filter((file) => ownerOf(file, packages) === owner);
      const shipped = packagesIn(inside.filter(({ path }) => isProduct(path)));
      for (const name of Object.keys(owner.dependencies)) {
        if (!shipped.has(name)) yield { where: owner.path, what: `${name}: no code that ships imports it, remove it` };
      }
      const imported = packagesIn(owner.folder === "" ? files : inside);
      for (const name of Object.keys(owner.devDependencies)) {
        if (imported.has(name) || Object.hasOwn(toolsExcused, name)) continue;
        yield { where: owner.path, what: `${name}: nothing imports it, remove it` };
      }
    }
  },
  broken: {
    "package.json": `{ "devDependencies": { "fast-check": "1.0.0" } }`,
    "services/echo/package.json": `{ "dependencies": { "zod": "1.0.0" } }`,
  },
  beside: { "src/base/a.ts": `import { z } from "zod";`, "services/echo/src/a.test.ts": `import { z } from "zod";` },
};

const versionsAreExact: Rule = {
  name: "a package has one exact version",
  *find({ packages }) {
    for (const { path, dependencies, devDependencies, optionalDependencies } of packages) {
      for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
        if (/^(\d+\.\d+\.\d+(-[\w.]+)?|file:.*)$/.test(version)) continue;
        yield { where: path, what: `${name} is "${version}": write the version that was tried` };
      }
    }
  },
  broken: { "package.json": `{ "optionalDependencies": { "a": "^1.0.0" } }` },
};

function packagesIn(files: readonly SourceFile[]): ReadonlySet<string | undefined> {
  return new Set(files.flatMap(({ imports }) => imports.map(({ packageName }) => packageName)));
}

/** The package.json nearest above a file. */
function ownerOf({ path }: SourceFile, packages: readonly Package[]): Package | undefined {
  const above = packages.filter(({ folder }) => path.startsWith(folder));
  return above.sort((a, b) => b.folder.length - a.folder.length)[0];
}

export const packageRules: readonly Rule[] = [importedIsDeclared, declaredIsImported, versionsAreExact];
