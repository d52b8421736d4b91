import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { makeDirectory, nexus } from "../support/command-line.ts";
import { needsTerminal, onTerminal } from "../support/on-terminal.ts";

const options = { timeout: 60_000 };
const create = ["create", "service", "my-voice"];

// proves: create.asks
test(
  "create shows the files, writes them, says what is next, and never replaces others unasked",
  options,
  async (t) => {
    const cwd = await makeDirectory(t);
    const readme = join(cwd, "my-voice", "README.md");
    const dry = await nexus([...create, "--domain", "speech", "--dry-run"], { cwd });
    assert.match(dry.stdout, /^my-voice\/\n[\s\S]*\n {2}src\/\n {4}main\.ts\n[\s\S]*files, nothing written\.$/m);
    await assert.rejects(readFile(readme), { code: "ENOENT" });

    const made = await nexus([...create, "--domain", "speech", "--port", "9321"], { cwd });
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stdout, /\nNext:\n {2}cd my-voice\n[\s\S]*npm test[\s\S]*nexus check http:\/\/127\.0\.0\.1:9321/);
    const again = await nexus([...create, "--domain", "speech", "--port", "9321"], { cwd });
    assert.equal(again.code, 0, "the same files are no conflict");

    await writeFile(readme, "mine");
    const refused = await nexus([...create, "--domain", "speech", "--port", "9321"], { cwd });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /has other files already: README\.md/);
    assert.equal(await readFile(readme, "utf8"), "mine");
    const shown = await nexus([...create, "--domain", "speech", "--dry-run", "--json"], { cwd });
    const { conflicts, written } = JSON.parse(shown.stdout) as { conflicts: readonly string[]; written: boolean };
    assert.ok(conflicts.includes("README.md") && !written);
    assert.equal((await nexus([...create, "--domain", "ocr", "--overwrite"], { cwd })).code, 0);
    assert.match(await readFile(readme, "utf8"), /A service for Nexus: ocr/);
  },
);

// proves: create.asks
test("without a terminal nothing is asked: what is missing or wrong is an error of usage", options, async (t) => {
  const cwd = await makeDirectory(t);
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [create, /Say what the service is for: --domain/],
    [["create", "service", "My Voice", "--domain", "ocr"], /no name for a service/],
    [[...create, "--domain", "agent"], /--domain must be one of/],
    [[...create, "--domain", "ocr", "--language", "cobol"], /no template for cobol/],
    [[...create, "--domain", "ocr", "--template", "./nowhere"], /has no template\.yaml/],
    [[...create, "--domain", "ocr", "--port", "0"], /from 1 to 65535/],
  ];
  for (const [args, message] of wrong) {
    const { code, stderr } = await nexus(args, { cwd });
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, message);
  }
});

// proves: create.asks
test("on a terminal it asks for what was not said", { skip: needsTerminal, ...options }, async (t) => {
  const cwd = await makeDirectory(t);
  const screen = onTerminal(t, [...create, "--mode", "command"], {}, cwd);
  await screen.until(/Which language\?[\s\S]*typescript/);
  screen.type("\r");
  await screen.until(/What is it for\?[\s\S]*tool/);
  screen.type("\u001b[B\r");
  await screen.until(/Which port\?/);
  screen.type("70000\r");
  await screen.until(/A whole number from 1 to 65535/);
  screen.type(`${"\u007f".repeat(5)}9001\r`);
  await screen.until(/Next:/);
  assert.equal(await screen.ended, 0);
  assert.match(await readFile(join(cwd, "my-voice", "command.yaml"), "utf8"), /for embedding/);
  assert.match(await readFile(join(cwd, "my-voice", "src", "main.ts"), "utf8"), /"9001"/);

  await rm(join(cwd, "my-voice"), { recursive: true });
  const leaving = onTerminal(t, create, {}, cwd);
  await leaving.until(/Which language\?/);
  leaving.type("\u0003");
  assert.equal(await leaving.ended, 130);
  await assert.rejects(readFile(join(cwd, "my-voice", "README.md")), { code: "ENOENT" });
});

// proves: create.templates
test("templates are listed, linted, and used from a directory of one's own", options, async (t) => {
  const listed = await nexus(["templates", "--json"]);
  const { templates } = JSON.parse(listed.stdout) as {
    templates: { name: string; combinations: number; directory: string }[];
  };
  const builtin = templates.find(({ name }) => name === "typescript");
  assert.equal(builtin?.combinations, 33);
  for (const { name } of templates) {
    const lint = await nexus(["templates", "lint", name]);
    assert.equal(lint.code, 0, lint.stdout);
  }
  const cwd = await makeDirectory(t);
  const args = [...create, "--template", builtin.directory, "--domain", "tool", "--directory", "elsewhere"];
  assert.equal((await nexus(args, { cwd })).code, 0);
  assert.match(await readFile(join(cwd, "elsewhere", "package.json"), "utf8"), /"name": "my-voice"/);
  const odd = await nexus([...args.slice(0, -1), "it's $(odd); there"], { cwd });
  assert.ok(odd.stdout.includes("  cd 'it'\\''s $(odd); there'\n"), odd.stdout);
  await writeFile(join(cwd, "template.yaml"), "schema: 1\n");
  const bad = await nexus(["templates", "lint", "."], { cwd });
  assert.deepEqual([bad.code, /template\.yaml: .*name/.test(bad.stdout)], [1, true]);
});
