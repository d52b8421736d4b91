import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { makeDirectory, nexus } from "../support/command-line.ts";

/** Verbs that need a platform, each with arguments that are right. */
const platformVerbs = [
  ["status"],
  ["down"],
  ["attach", "http://127.0.0.1:1"],
  ["detach", "it"],
  ["drain", "llm"],
  ["undrain", "llm"],
  ["keys", "create", "me"],
  ["keys", "ls"],
  ["keys", "revoke", "me"],
  ["chat", "hello"],
] as const;

// proves: cli.exit-codes
test("a verb without a platform ends with 3 and says what to do", async (t) => {
  const data = await makeDirectory(t);
  for (const verb of platformVerbs) {
    const { code, stdout, stderr } = await nexus([...verb, "--data", data]);
    assert.equal(code, 3, `${verb.join(" ")}: ${stderr}`);
    assert.equal(stdout, "");
    assert.match(stderr, /No platform is running in .*\n.*nexus up/);
  }
});

// proves: cli.json
test("with --json an error is the one document on stdout", async (t) => {
  const data = await makeDirectory(t);
  const wrong = [["stauts"], ["status", "--nope"], ["up", "--port", "x"], ["attach"], ["config", "explain", "nothing"]];
  for (const verb of [...platformVerbs, ...wrong]) {
    const { code, stdout, stderr } = await nexus([
      ...verb,
      "--json",
      ...(wrong.includes(verb as string[]) ? [] : ["--data", data]),
    ]);
    const { error } = JSON.parse(stdout) as { error: { message: string; code: string; type: string; param: null } };
    assert.equal(typeof error.message, "string");
    assert.equal(
      error.code,
      wrong.includes(verb as string[]) ? (verb[0] === "config" ? "unknown_key" : "usage") : "no_platform",
    );
    assert.equal(stderr, "");
    assert.equal(code, error.code === "no_platform" ? 3 : 2);
  }
});

// proves: cli.exit-codes
test("a wrong command line ends with 2 and says what was meant", async () => {
  const cases: [args: string[], expected: RegExp][] = [
    [["stauts"], /unknown verb 'stauts'; did you mean status\?/],
    [["keys", "revoek"], /revoek/],
    [["status", "--dta", "x"], /unknown flag --dta; did you mean --data\?/],
    [["up", "--port", "99999"], /port: '99999' must be a whole number from 0 to 65535/],
    [["keys", "create", "x", "--role", "root"], /--role must be one of user, service, monitor, admin/],
    [["attach"], /missing argument <url>/],
    [["detach", "a", "b"], /unexpected argument 'b'/],
    [["attach", "not-a-url"], /no http or https URL/],
    [["drain", "a/b", "--host"], /instance/],
    [["logs", "-f", "--json"], /choose one/],
  ];
  for (const [args, expected] of cases) {
    const { code, stdout, stderr } = await nexus(args);
    assert.match(args.includes("--json") ? stdout : stderr, expected, args.join(" "));
    assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
  }
});

test("help and version need nothing and end with 0", async () => {
  const help = await nexus(["help"]);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /Usage: nexus VERB/);
  assert.deepEqual(help, await nexus([]));
  const up = await nexus(["help", "up"]);
  assert.match(up.stdout, /--no-builtin/);
  assert.deepEqual(up, await nexus(["up", "--help"]));
  const { version } = JSON.parse((await nexus(["version", "--json"])).stdout) as { version: string };
  assert.equal((await nexus(["--version"])).stdout, `nexus ${version}\n`);
  assert.ok("help" in (JSON.parse((await nexus(["help", "--json"])).stdout) as object));
  assert.ok("help" in (JSON.parse((await nexus(["help", "keys", "--json"])).stdout) as object));
});

// proves: cli.config
test("a wrong configuration ends with 2 and lists every problem", async (t) => {
  const directory = await makeDirectory(t);
  const file = join(directory, "nexus.yaml");
  await writeFile(file, "listen: { prot: 1 }\nlogs: { level: loud }\n");
  for (const verb of [["config", "validate"], ["config", "show"], ["up"]]) {
    const { code, stdout, stderr } = await nexus([...verb, "--data", directory, "--config", file]);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.match(stderr, /nexus\.yaml:1 {2}listen\.prot: unknown key; did you mean 'port'\?/);
    assert.match(stderr, /nexus\.yaml:2 {2}logs\.level: must be one of/);
  }
});

// proves: cli.config
test("config show tells each value and where it comes from", async (t) => {
  const directory = await makeDirectory(t);
  await writeFile(join(directory, "nexus.yaml"), "listen: { port: 1234 }\n");
  const env = { NEXUS_LOG_LEVEL: "warn" };
  const { stdout } = await nexus(["config", "show", "--json", "--data", directory], { env });
  const shown = JSON.parse(stdout) as { config: { listen: unknown }; origins: Record<string, string>; file: string };
  assert.deepEqual(shown.config.listen, { host: "127.0.0.1", port: 1234 });
  assert.equal(shown.file, join(directory, "nexus.yaml"));
  assert.equal(shown.origins["listen.port"], "file");
  assert.equal(shown.origins["listen.host"], "default");
  assert.equal(shown.origins["logs.level"], "env");
  const table = (await nexus(["config", "--data", directory], { env })).stdout;
  assert.match(table, /^listen\.port +1234 +file$/m);
});

// proves: cli.config
test("config explain describes a key, a group and a part of a name", async () => {
  assert.match(
    (await nexus(["config", "explain", "listen.port"])).stdout,
    /listen\.port\n.*\n.*default 8800\n.*NEXUS_PORT/,
  );
  assert.match((await nexus(["config", "explain", "services[0].command"])).stdout, /^services\[\]\.command/);
  assert.match((await nexus(["config", "explain", "stall"])).stdout, /^gateway\.timeouts\.stallMs/);
  const { code, stderr } = await nexus(["config", "explain", "listne.port"]);
  assert.equal(code, 2);
  assert.match(stderr, /Did you mean listen\.port/);
});

// proves: gateway.keyless
test("an address beyond loopback without keys is refused at start", async (t) => {
  const data = await makeDirectory(t);
  const { code, stderr } = await nexus(["up", "--host", "0.0.0.0", "--data", data], {
    env: { NEXUS_AUTH_MODE: "none" },
  });
  assert.equal(code, 2);
  assert.match(stderr, /lets everybody in/);
});

// proves: cli.doctor
test("doctor checks the machine and ends with 0 when only the platform is missing", async (t) => {
  const data = await makeDirectory(t);
  const { code, stdout } = await nexus(["doctor", "--data", data, "--json"], { env: { NEXUS_PORT: "0" } });
  const { ok, findings } = JSON.parse(stdout) as {
    ok: boolean;
    findings: { check: string; status: string; fix: string }[];
  };
  assert.equal(code, ok ? 0 : 1);
  const platform = findings.find(({ check }) => check === "platform");
  assert.equal(platform?.status, "warning");
  for (const { status, fix } of findings) assert.equal(fix === "", status === "ok");
});

// proves: cli.no-prompt
test("a conversation without a terminal is refused, an empty question too", async (t) => {
  const data = await makeDirectory(t);
  const { code, stderr } = await nexus(["chat", "--data", data]);
  assert.equal(code, 2);
  assert.match(stderr, /There is no question/);
});

// proves: cli.finds-platform
test("a platform named by NEXUS_URL that doesn't answer ends with 3; credentials in it are refused", async () => {
  const gone = await nexus(["status"], { env: { NEXUS_URL: "http://127.0.0.1:1" } });
  assert.equal(gone.code, 3);
  assert.match(gone.stderr, /No platform answers at http:\/\/127\.0\.0\.1:1/);
  const bad = await nexus(["status"], { env: { NEXUS_URL: "http://user:secret@127.0.0.1:1" } });
  assert.equal(bad.code, 2);
  assert.doesNotMatch(bad.stderr, /secret/);
});

test("a reader that goes away is no error", async () => {
  const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
  const child = spawn("sh", ["-c", `"${process.execPath}" "${main}" config show | head -1 >/dev/null`], {
    env: { PATH: process.env.PATH ?? "", HOME: "/nonexistent" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  assert.equal(await text(child.stderr), "");
});
