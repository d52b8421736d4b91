/**
 *   node deploy/docker/select-services.mjs MANIFESTS [SERVICE...]
 *
 * Reduces a copy of the repository, the working directory, to the services that an image is for, and copies the files that
 * decide which packages are installed to MANIFESTS.
 */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [manifests = "", ...wanted] = process.argv.slice(2);
const isThere = (/** @type {string} */ name) => existsSync(join("services", name, "package.json"));
const there = readdirSync("services").filter(isThere);

const unknown = wanted.filter((name) => !there.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`There is no service ${unknown.join(", ")} under services/. There are: ${there.join(", ")}.\n`);
  process.exit(1);
}
for (const name of readdirSync("services")) {
  if (!wanted.includes(name)) rmSync(join("services", name), { recursive: true });
}

const workspaces = wanted.map((name) => `services/${name}`);
const manifest = JSON.parse(readFileSync("package.json", "utf8"));
writeFileSync("package.json", `${JSON.stringify({ ...manifest, workspaces }, null, 2)}\n`);
for (const file of [
  "package.json",
  "package-lock.json",
  ".npmrc",
  ...workspaces.map((path) => `${path}/package.json`),
]) {
  cpSync(file, join(manifests, file));
}
