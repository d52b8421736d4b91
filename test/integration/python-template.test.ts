import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { join } from "node:path";
import { before, describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import { startService } from "../../src/cli/started-service.ts";
import type { Combination } from "../../src/scaffold/combination.ts";
import { combinationsOf } from "../../src/scaffold/manifest.ts";
import { readTemplate } from "../../src/scaffold/read-template.ts";
import { failuresOf, report } from "../support/conformance.ts";
import { needs } from "../support/needs.ts";
import { checkOfDomain, checkout, makeWorkshop, writeNewService } from "../support/new-service.ts";
import { hasPython, makeTemplatePython } from "../support/python.ts";
import { makeData, startPlatformFor } from "../support/started-platform.ts";
import { waitFor } from "../support/wait-for.ts";

const run = promisify(execFile);
const folder = join(checkout, "templates", "python");
const template = await readTemplate(folder);
const isThere = await hasPython(3, 11);

describe("services in Python", needs("Python 3.11 or newer with pip and its index", isThere), () => {
  let python = "";
  const environment = { ...process.env, PYTHONDONTWRITEBYTECODE: "1", NEXUS_LOG_LEVEL: "error" };
  before(
    async () => {
      python = await makeTemplatePython();
    },
    { timeout: 400_000 },
  );

  /** Runs a program of a service as its README says, for the length of one test. */
  const start = async (t: TestContext, file: string, variables: Readonly<Record<string, string>> = {}) => {
    const command = `${python} ${file}`;
    const started = await startService({ command, environment: { ...environment, ...variables }, signal: t.signal });
    t.after(() => started.end());
    return started;
  };

  const write = async (t: TestContext, workshop: string, combination: Combination) => {
    const { name, directory } = await writeNewService(workshop, template, combination);
    if (combination.mode !== "upstream") return { name, directory, variables: {}, end: async () => {} };
    const { baseUrl, end } = await start(t, join(directory, "example_server.py"));
    return { name, directory, variables: { UPSTREAM_URL: baseUrl }, end };
  };

  for (const mode of template.manifest.modes) {
    // proves: create.conforms
    it(`every ${mode} service keeps the contract as it is written, its end included`, {
      timeout: 110_000,
    }, async (t) => {
      const workshop = await makeWorkshop(t);
      const look = async (combination: Combination): Promise<void> => {
        const { name, directory, variables, end } = await write(t, workshop, combination);
        const service = await start(t, join(directory, "service.py"), variables);
        const results = await report({ baseUrl: service.baseUrl, signal: t.signal, process: service });
        await end();
        assert.deepEqual(failuresOf(results), [], name);
        const passed = results.filter(({ status }) => status === "pass").map(({ id }) => id);
        for (const id of ["process.run-file", "drain.exit", checkOfDomain[combination.domain]]) {
          assert.ok(passed.includes(id), `${name}: ${id} was not seen: ${passed.join(" ")}`);
        }
      };
      // Two at a time: several checks see within how much time something is done.
      const left = combinationsOf(template.manifest).filter((one) => one.mode === mode);
      const work = async (): Promise<void> => {
        for (let next = left.shift(); next !== undefined; next = left.shift()) await look(next);
      };
      await Promise.all([work(), work()]);
    });
  }

  // proves: create.conforms
  it("the tests that services bring pass", { timeout: 110_000 }, async (t) => {
    const workshop = await makeWorkshop(t);
    const sample = [
      { domain: "chat", mode: "command" },
      { domain: "transcription", mode: "upstream" },
      { domain: "music", mode: "native" },
    ] as const;
    for (const combination of sample) {
      const { directory } = await writeNewService(workshop, template, combination);
      const { stderr } = await run(python, ["-m", "unittest"], { cwd: directory, env: environment });
      assert.match(stderr, /^Ran \d+ tests? in .*\n\nOK$/m);
    }
  });

  // proves: create.conforms
  it("the kit holds its promises where no conformance check can look", { timeout: 60_000 }, async () => {
    const { stderr } = await run(python, ["-m", "unittest", "discover", "-s", join(folder, "tests")], {
      env: { ...environment, PYTHONPATH: join(folder, "all") },
    });
    assert.match(stderr, /^Ran \d+ tests in .*\n\nOK$/m);
  });

  // proves: create.served
  it("they register, serve through the gateway, register again with a platform that was away, and leave", {
    timeout: 110_000,
  }, async (t) => {
    const data = await makeData(t);
    const platform = await startPlatformFor(t, { data });
    const workshop = await makeWorkshop(t);
    const { name, directory, variables } = await write(t, workshop, { domain: "chat", mode: "upstream" });
    const control = `unix:${join(data, "control.sock")}`;
    const service = spawn(python, [join(directory, "service.py")], {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...environment, ...variables, NEXUS_PORT: "0", NEXUS_CONTROL_URL: control },
    });
    t.after(() => void service.kill("SIGKILL"));
    const ask = async ({ url, key }: { url: string; key: string }): Promise<Response> =>
      await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
        body: JSON.stringify({ model: name, messages: [{ role: "user", content: "green grass" }], max_tokens: 3 }),
      });
    const answer = await waitFor("it is served", async () => {
      const response = await ask(platform);
      return response.ok ? await response.text() : undefined;
    });
    assert.match(answer, /"content":"green grass green"/);

    await platform.stop();
    const again = await startPlatformFor(t, { data });
    await waitFor("it is served again", async () => (await ask(again)).ok);

    service.kill("SIGTERM");
    await waitFor("it is gone", async () => {
      const response = await fetch(`${again.url}/v1/models`, { headers: { authorization: `Bearer ${again.key}` } });
      return !(await response.text()).includes(name);
    });
  });
});
