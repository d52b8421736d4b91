import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { makeDirectory, nexus } from "../support/command-line.ts";
import { startPlatformFor } from "../support/started-platform.ts";
import { writeTinyGguf } from "../support/tiny-gguf.ts";

interface Listing {
  readonly served: null;
  readonly catalogue: readonly { readonly id: string; readonly installed: string | null }[];
}

// proves: cli.models, cli.json, models.own-file
test("a model of one's own is added, pulled, listed and removed", { timeout: 60_000 }, async (t) => {
  const directory = await makeDirectory(t);
  await writeTinyGguf(join(directory, "mine.gguf"));
  const models = (...args: string[]) =>
    nexus(["models", ...args, "--data", join(directory, "data")], { cwd: directory });
  const listed = async () => {
    const { catalogue } = JSON.parse((await models("ls", "--json")).stdout) as Listing;
    return catalogue.find(({ id }) => id === "mine");
  };
  assert.equal(await listed(), undefined);
  const added = await models("add", "mine", "--from", "mine.gguf");
  assert.equal(added.code, 0, added.stderr);
  assert.equal((await listed())?.installed, null);

  const pulled = await models("pull", "mine", "--json");
  const { path, source } = JSON.parse(pulled.stdout) as { path: string; source: string };
  assert.ok(existsSync(path));
  assert.notEqual(source, "installed");
  assert.match((await models("pull", "mine")).stdout, /was here already/);
  assert.match((await models("ls")).stdout, /^mine .* installed /m);

  assert.match((await models("rm", "mine")).stdout, /The file of mine is deleted/);
  assert.ok(!existsSync(path));
  assert.equal((await listed())?.installed, null);
  const unknown = await models("pull", "mien");
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /Did you mean mine\?/);
});

test("models are those of the running platform, whichever file it was started with", { timeout: 90_000 }, async (t) => {
  const directory = await makeDirectory(t);
  const config = join(directory, "mine.yaml");
  const models = join(directory, "elsewhere");
  await writeFile(config, JSON.stringify({ models: { directory: models } }));
  const { data, url } = await startPlatformFor(t, { args: ["--config", config] });
  const listed = await nexus(["models", "ls", "--json", "--data", data]);
  assert.equal((JSON.parse(listed.stdout) as { directory: string }).directory, models);
  const doctor = await nexus(["doctor", "--json", "--data", data]);
  assert.ok(doctor.stdout.includes(`${new URL(url).host} is this platform's`), doctor.stdout);
});
