/**
 *   node deploy/docker/select-services.mjs MANIFESTS [SERVICE...]
 *
 * Reduces a copy of the repository, the working directory, to the services that an image is for, and writes the files that
 * decide which packages are installed to MANIFESTS.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** @typedef {{ name: string, dependencies?: Record<string, string>, [field: string]: unknown }} Manifest */

/** @returns {Manifest} */
const readManifest = (/** @type {string} */ directory) =>
  JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));

const [manifests = "", ...asked] = process.argv.slice(2);
const names = readdirSync("services").filter((name) => existsSync(join("services", name, "package.json")));
/** By the names of their packages: some services are built on others. */
const services = new Map(names.map((name) => [readManifest(join("services", name)).name, join("services", name)]));

const unknown = asked.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`There is no services/${unknown.join(", ")}. There are: ${names.join(", ")}.\n`);
  process.exit(1);
}

const wanted = new Set(asked.map((name) => join("services", name)));
// What is added while it is walked is walked, too.
for (const directory of wanted) {
  for (const dependency of Object.keys(readManifest(directory).dependencies ?? {})) {
    const other = services.get(dependency);
    if (other !== undefined) wanted.add(other);
  }
}
for (const name of readdirSync("services")) {
  const directory = join("services", name);
  if (!wanted.has(directory)) rmSync(directory, { recursive: true });
}

// The optional ones are a Node for machines that have none; the image has one.
const { devDependencies, optionalDependencies, ...manifest } = readManifest(".");
writeFileSync("package.json", `${JSON.stringify({ ...manifest, workspaces: [...wanted] }, null, 2)}\n`);
for (const directory of [".", ...wanted]) {
  mkdirSync(join(manifests, directory), { recursive: true });
  cpSync(join(directory, "package.json"), join(manifests, directory, "package.json"));
}
for (const file of ["package-lock.json", ".npmrc"]) cpSync(file, join(manifests, file));
