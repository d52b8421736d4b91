import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { openTemplate } from "../../src/scaffold/find-template.ts";
import { lintTemplate } from "../../src/scaffold/lint-template.ts";
import { combinationsOf } from "../../src/scaffold/manifest.ts";
import { planService } from "../../src/scaffold/plan-service.ts";
import { readCondition, readTemplate } from "../../src/scaffold/read-template.ts";
import { renderText } from "../../src/scaffold/render.ts";
import type { Wanted } from "../../src/scaffold/variables.ts";
import { conflictsOf, writeService } from "../../src/scaffold/write-service.ts";
import { needs } from "../support/needs.ts";

const run = promisify(execFile);
const answers = async (program: string): Promise<boolean> =>
  await run(program, ["--version"]).then(
    () => true,
    () => false,
  );
const manifest =
  "schema: 1\nname: own\ntitle: Own\nlanguage: typescript\ndomains: [chat, tool]\nmodes: [native, command]\n";
const wanted: Wanted = { name: "my.voice-2", domain: "chat", mode: "native", port: 9000 };
const dockerfile = "FROM base\nUSER 1000\nHEALTHCHECK CMD true\n";
const whole = {
  "template.yaml": manifest,
  "all/README.md": "# {{title}}\n",
  "all/Dockerfile": dockerfile,
  "all/compose.yaml": "services: { a: { read_only: true } }\n",
  "all/.env.example": "",
};

async function makeFolder(t: TestContext, files: Readonly<Record<string, string>> = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "nexus-scaffold-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}

const near = (directory: string) => ({ directory, nexus: "/opt/nexus", nexusVersion: "1.0.0" });
const source = (text: string, folder: string) => ({
  source: text,
  nexus: folder,
  workingDirectory: folder,
  environment: { PATH: process.env.PATH, HOME: folder },
  signal: AbortSignal.timeout(20_000),
});

test("names stand for their values, and only names", () => {
  const variables = { name: "a", title: "A {{name}}" };
  assert.equal(
    renderText("{{name}} {{title}} {{.State}} {{ name }} -{{name}}", variables, "f"),
    "a A {{name}} {{.State}} {{ name }} -a",
  );
  assert.throws(() => renderText("one\ntwo {{nome}}", variables, "f.md"), /f\.md:2: there is no variable \{\{nome\}\}/);
  assert.throws(() => renderText("{{constructor}}", variables, "f"), /no variable/);
});

test("a folder's name is a condition", () => {
  const holds = (name: string, domain: "chat" | "tool", mode: "native" | "command") =>
    readCondition(name)?.({ domain, mode });
  assert.equal(holds("all", "chat", "native"), true);
  assert.deepEqual([holds("mode-command", "chat", "native"), holds("mode-command", "chat", "command")], [false, true]);
  assert.equal(holds("domain-tool+chat.mode-native", "chat", "native"), true);
  assert.equal(holds("domain-tool+chat.mode-native", "chat", "command"), false);
  assert.equal(readCondition("docs"), undefined);
  for (const name of ["mode-fast", "domain-chat+", "domain-chat.extra"])
    assert.throws(() => readCondition(name), /folder/);
});

test("a plan has the files of every part that holds, under names of the service's own", async (t) => {
  const folder = await makeFolder(t, {
    ...whole,
    "all/src/{{module}}.py": "name = '{{name}}' # {{domain}} {{mode}} {{port}} {{nexus}} {{path}}\n",
    "mode-command/only.txt": "",
    "domain-chat/chat.txt": "{{title}}",
    "notes/for-readers.md": "{{whatever}}",
  });
  await symlink("/etc/passwd", join(folder, "all", "link"));
  const { files, links } = planService(await readTemplate(folder), wanted, near("/home/me/my.voice-2"));
  assert.deepEqual(
    files.map(({ path }) => path),
    [".env.example", "Dockerfile", "README.md", "chat.txt", "compose.yaml", "src/my_voice_2.py"],
  );
  const text = (path: string) => files.find((file) => file.path === path)?.bytes.toString();
  assert.equal(text("chat.txt"), "My voice 2");
  assert.equal(text("src/my_voice_2.py"), "name = 'my.voice-2' # chat native 9000 /opt/nexus /v1/chat/completions\n");
  assert.deepEqual(links, []);
});

// proves: create.asks
test("what is there and differs is never replaced unasked, and nothing is written then", async (t) => {
  const folder = await makeFolder(t, { ...whole, "template.yaml": `${manifest}links: [node_modules/nexus]\n` });
  await chmod(join(folder, "all", "Dockerfile"), 0o755);
  const target = await makeFolder(t, { "README.md": "mine", Dockerfile: dockerfile });
  const plan = planService(await readTemplate(folder), wanted, near(target));
  assert.deepEqual(await conflictsOf(plan), ["README.md"]);
  await assert.rejects(
    writeService(plan, { nexus: "/opt/nexus", overwrite: false }),
    /has other files already: README\.md/,
  );
  await assert.rejects(lstat(join(target, "compose.yaml")), { code: "ENOENT" });
  await writeService(plan, { nexus: "/opt/nexus", overwrite: true });
  assert.equal(await readFile(join(target, "README.md"), "utf8"), "# My voice 2\n");
  assert.equal((await lstat(join(target, "Dockerfile"))).mode & 0o100, 0o100);
  assert.match(await readlink(join(target, "node_modules", "nexus")), /opt\/nexus$/);
  await writeService(plan, { nexus: "/elsewhere", overwrite: false });
});

// proves: create.asks
test("nothing is written through links, even to where nothing is yet, nor where a file stands for a folder", async (t) => {
  const plan = async (target: string) => {
    const template = await readTemplate(await makeFolder(t, { ...whole, "all/src/main.ts": "" }));
    return planService(template, wanted, near(target));
  };
  const elsewhere = await makeFolder(t);
  const target = await makeFolder(t);
  await symlink(join(elsewhere, "new.md"), join(target, "README.md"));
  await symlink(elsewhere, join(target, "src"));
  const linked = await plan(target);
  assert.deepEqual(await conflictsOf(linked), ["README.md", "src/main.ts"]);
  for (const overwrite of [false, true]) {
    await assert.rejects(writeService(linked, { nexus: "/opt/nexus", overwrite }), { code: "conflict" });
  }
  assert.deepEqual(await readdir(elsewhere), []);
  assert.deepEqual((await readdir(target)).sort(), ["README.md", "src"]);

  const file = await makeFolder(t, { here: "", "there/src": "" });
  await assert.rejects(conflictsOf(await plan(join(file, "here"))), /here is no folder/);
  const options = { nexus: "/opt/nexus", overwrite: true };
  await assert.rejects(writeService(await plan(join(file, "there")), options), /src is in the way of src\/main\.ts/);
});

test("what tools leave behind in a template is no part of it, and its manifest is a plain file", async (t) => {
  const left = {
    "all/node_modules/a/b.js": "",
    "all/src/__pycache__/c.pyc": "",
    "all/.git/HEAD": "",
    "all/.venv/d": "",
  };
  const template = await readTemplate(await makeFolder(t, { ...whole, ...left, "all/src/main.ts": "" }));
  assert.deepEqual(
    planService(template, wanted, near("/s")).files.map(({ path }) => path),
    [".env.example", "Dockerfile", "README.md", "compose.yaml", "src/main.ts"],
  );
  const endless = await makeFolder(t);
  await symlink("/dev/zero", join(endless, "template.yaml"));
  await assert.rejects(readTemplate(endless), /has no template\.yaml that can be read/);
});

test("a path that leads out of the service, or that two parts have, is refused", async (t) => {
  const twice = await readTemplate(await makeFolder(t, { ...whole, "mode-native/README.md": "" }));
  assert.throws(() => planService(twice, wanted, near("/s")), /Both all and mode-native have README\.md/);
  const values = "values: { domain: { chat: { up: ../.. }, tool: { up: a } } }\n";
  const out = await readTemplate(await makeFolder(t, { "template.yaml": manifest + values, "all/{{up}}/x": "" }));
  assert.throws(() => planService(out, wanted, near("/s")), /no path below/);
});

test("a manifest is refused with the field that is wrong", async (t) => {
  const refused = async (text: string, pattern: RegExp) =>
    await assert.rejects(readTemplate(await makeFolder(t, { "template.yaml": text })), pattern);
  await refused(manifest.replace("schema: 1", "schema: 2"), /schema/);
  await refused(`${manifest}colour: red\n`, /colour/);
  await refused("a: [", /no YAML/);
  await refused(`${manifest}values: { mode: { native: { about: x } } }\n`, /values\.mode\.command: has no `about`/);
  await refused(`${manifest}links: [../x]\n`, /links/);
  await assert.rejects(readTemplate("/no/such/place"), /has no template\.yaml/);
});

test("what makes no sense is not made, with the reason", async (t) => {
  const without = "without: [{ domain: tool, mode: command, because: Tools are quick }]\n";
  const template = await readTemplate(await makeFolder(t, { ...whole, "template.yaml": manifest + without }));
  assert.equal(combinationsOf(template.manifest).length, 3);
  const tool = { ...wanted, domain: "tool", mode: "command" } as const;
  assert.throws(() => planService(template, tool, near("/s")), /Tools are quick/);
  assert.throws(
    () => planService(template, { ...wanted, domain: "ocr" }, near("/s")),
    /no services for ocr, but for chat/,
  );
});

// proves: create.templates
test("a lint finds what is wrong, where it is", async (t) => {
  const good = await lintTemplate(await readTemplate(await makeFolder(t, whole)), "1");
  assert.deepEqual([good.problems, good.combinations.length, good.files], [[], 4, 4]);
  const faults: readonly (readonly [Record<string, string>, RegExp])[] = [
    [{ "mode-command/src/a.ts": "const = 1;" }, /^src\/a\.ts \(chat command\): /],
    [{ "domain-tool/a.json": "{,}" }, /^a\.json \(tool native\): .*JSON/],
    [{ "all/a.yaml": "a: [" }, /^a\.yaml/],
    [{ "domain-chat/a.txt": "{{colour}}" }, /^chat native: .*no variable \{\{colour\}\}/],
    [{ "domain-video/a.txt": "" }, /^domain-video\/: is for no combination/],
    [{ "all/Dockerfile": "FROM a\nHEALTHCHECK CMD true\n" }, /USER/],
    [{ "all/Dockerfile": "FROM a\nUSER 1000\nFROM b\nUSER root:root\nHEALTHCHECK CMD true\n" }, /root/],
    [{ "all/Dockerfile": "FROM a\nUSER 1000\nHEALTHCHECK NONE\n" }, /HEALTHCHECK/],
    [{ "all/compose.yaml": "services: { a: {} }\n" }, /read_only/],
  ];
  for (const [files, pattern] of faults) {
    const { problems } = await lintTemplate(await readTemplate(await makeFolder(t, { ...whole, ...files })), "1");
    assert.match(problems.map(({ where, problem }) => `${where}: ${problem}`).join("\n"), pattern);
  }
  const { "all/README.md": _readme, ...rest } = whole;
  const bare = await lintTemplate(await readTemplate(await makeFolder(t, rest)), "1");
  assert.match(bare.problems[0]?.problem ?? "", /no README\.md/);
});

test("a lint reads Python with Python", needs("python3", await answers("python3")), async (t) => {
  const python = { "all/good.py": "import no_such_module\n", "all/bad.py": "def a(:\n" };
  const { problems } = await lintTemplate(await readTemplate(await makeFolder(t, { ...whole, ...python })), "1");
  assert.equal(problems.length, 1);
  assert.match(`${problems[0]?.where}: ${problems[0]?.problem}`, /^bad\.py .*line 1/);
});

// proves: create.templates
test(
  "a template comes from a directory or a repository, at the branch or tag that is named",
  needs("git", await answers("git")),
  async (t) => {
    const folder = await makeFolder(t, whole);
    const git = async (...args: readonly string[]) =>
      await run("git", ["-C", folder, "-c", "user.name=a", "-c", "user.email=a@b", ...args]);
    await git("init", "--quiet", "--initial-branch=main");
    // What would run if anything of the repository did.
    const canary = join(folder, "ran");
    await git("add", ".");
    await git("commit", "--quiet", "-m", "one");
    await git("tag", "v1");
    await writeFile(join(folder, "all", "README.md"), "two");
    await git("commit", "--quiet", "-am", "two");
    const readme = async (text: string) => {
      const { parts } = await openTemplate(source(text, folder));
      return parts[0]?.files.find(({ path }) => path === "README.md")?.bytes.toString();
    };
    assert.equal(await readme("."), "two");
    assert.equal(await readme(`git+file://${folder}`), "two");
    assert.equal(await readme(`git+file://${folder}#v1`), "# {{title}}\n");
    await assert.rejects(readme(`git+file://${folder}#nope`), /can't be cloned: .*nope/);
    const absent = `git+file://${folder}/none; touch ${canary}`;
    await assert.rejects(readme(absent), /can't be cloned: fatal: '.*none; touch .*' does not appear to be a git repo/);
    for (const bad of ["git+ext::sh -c touch% /tmp/x", `git+file://${folder}#--upload-pack=touch ${canary}`]) {
      await assert.rejects(readme(bad), /git\+https:/);
    }
    await assert.rejects(lstat(canary), { code: "ENOENT" });
  },
);
