import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { makeDirectory } from "../support/command-line.ts";
import { runProgram } from "../support/run-program.ts";

const script = fileURLToPath(new URL("../../deploy/docker/select-services.mjs", import.meta.url));

/** A repository with three services, of which `rank` is built on `vectors`, and what is left of it for an image. */
async function select(t: TestContext, ...services: readonly string[]) {
  const root = await makeDirectory(t);
  const write = (path: string, content: object) => {
    mkdirSync(join(root, path), { recursive: true });
    writeFileSync(join(root, path, "package.json"), JSON.stringify(content));
  };
  write(".", {
    name: "nexus",
    workspaces: ["services/*"],
    dependencies: { a: "1.0.0" },
    devDependencies: { b: "1.0.0" },
  });
  write("services/vectors", { name: "@nexus/vectors", dependencies: { nexus: "file:../.." } });
  write("services/rank", { name: "@nexus/rank", dependencies: { "@nexus/vectors": "0.1.0" } });
  write("services/voice", { name: "@nexus/voice" });
  mkdirSync(join(root, "services/begun"));
  for (const file of ["package-lock.json", ".npmrc"]) writeFileSync(join(root, file), "{}");
  cpSync(script, join(root, "select.mjs"));
  const line = `cd "${root}" && "${process.execPath}" select.mjs manifests ${services.join(" ")}`;
  await runProgram(["sh", "-c", line], 10_000);
  const manifest = JSON.parse(readFileSync(join(root, "manifests/package.json"), "utf8")) as Record<string, unknown>;
  const has = (path: string) => existsSync(join(root, path));
  return { manifest, has };
}

test("an image has the services that are asked for, those that they are built on, and no others", async (t) => {
  const { manifest, has } = await select(t, "rank");
  assert.deepEqual(manifest, {
    name: "nexus",
    workspaces: ["services/rank", "services/vectors"],
    dependencies: { a: "1.0.0" },
  });
  for (const place of ["", "manifests/"]) {
    assert.ok(has(`${place}services/rank/package.json`));
    assert.ok(has(`${place}services/vectors/package.json`));
    assert.ok(!has(`${place}services/voice`));
    assert.ok(!has(`${place}services/begun`));
  }
  assert.ok(has("manifests/package-lock.json"));
});

test("a platform may have none, and several may share an image", async (t) => {
  assert.deepEqual((await select(t)).manifest.workspaces, []);
  assert.deepEqual((await select(t, "voice", "vectors")).manifest.workspaces, ["services/voice", "services/vectors"]);
});

test("a service that is not there is named, with those that are", async (t) => {
  await assert.rejects(select(t, "voise"), /no services\/voise\. There are: rank, vectors, voice/);
});
