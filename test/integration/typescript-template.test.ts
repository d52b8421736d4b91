import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { silentLogger } from "../../src/base/logger.ts";
import type { Combination } from "../../src/scaffold/combination.ts";
import { combinationsOf } from "../../src/scaffold/manifest.ts";
import { readTemplate } from "../../src/scaffold/read-template.ts";
import { readServiceEnvironment, runService, type Service } from "../../src/service-kit/index.ts";
import { failuresOf, report } from "../support/conformance.ts";
import { checkOfDomain, checkout, makeWorkshop, writeNewService } from "../support/new-service.ts";
import { waitFor } from "../support/wait-for.ts";

const run = promisify(execFile);
const template = await readTemplate(join(checkout, "templates", "typescript"));
const quiet = { ownsProcess: false, log: silentLogger };

type Create = (variables?: Readonly<Record<string, string | undefined>>) => Service | Promise<Service>;

for (const mode of template.manifest.modes) {
  // proves: create.conforms
  test(`every ${mode} service keeps the contract as it is written`, { timeout: 100_000 }, async (t) => {
    const workshop = await makeWorkshop(t);
    const here = async (combination: Combination): Promise<void> => {
      const { name, directory } = await writeNewService(workshop, template, combination);
      const load = async <T>(path: string): Promise<T> =>
        (await import(pathToFileURL(join(directory, path)).href)) as T;
      const variables: Record<string, string | undefined> = { PATH: process.env.PATH };
      if (mode === "upstream") {
        const { createExample } = await load<{ createExample: Create }>("example/server.ts");
        const example = await runService(await createExample(), readServiceEnvironment({}), quiet);
        t.after(() => example.close());
        variables.UPSTREAM_URL = example.url;
      }
      const { createService } = await load<{ createService: Create }>("src/service.ts");
      const { url, close } = await runService(await createService(variables), readServiceEnvironment({}), quiet);
      t.after(close);
      await waitFor(`${name} is ready`, async () => (await fetch(`${url}/readyz`)).ok);
      const results = await report({ baseUrl: url, signal: t.signal });
      assert.deepEqual(failuresOf(results), [], name);
      const passed = results.filter(({ status }) => status === "pass").map(({ id }) => id);
      assert.ok(passed.includes(checkOfDomain[combination.domain]), `${name} was not asked: ${passed.join(" ")}`);
    };
    const combinations = combinationsOf(template.manifest).filter((one) => one.mode === mode);
    // Two at a time: several checks see within how much time something is done.
    const left = [...combinations];
    const work = async (): Promise<void> => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) await here(next);
    };
    await Promise.all([work(), work()]);
  });
}

// proves: create.conforms
test("the tests that services bring pass, and their types hold", { timeout: 100_000 }, async (t) => {
  const workshop = await makeWorkshop(t);
  const sample = [
    { domain: "speech", mode: "native" },
    { domain: "transcription", mode: "upstream" },
    { domain: "rerank", mode: "command" },
  ] as const;
  for (const combination of sample) {
    const { directory } = await writeNewService(workshop, template, combination);
    const environment = { ...process.env, NODE_TEST_CONTEXT: undefined };
    const tests = await run(process.execPath, ["--test", "test/*.test.ts"], { cwd: directory, env: environment });
    assert.match(tests.stdout, /^ℹ fail 0$|^# fail 0$/m);
    const compiler = join(checkout, "node_modules", "typescript", "bin", "tsc");
    await run(process.execPath, [compiler, "-p", "."], { cwd: directory }).catch((error: { stdout?: string }) => {
      // What a file elsewhere in the checkout has wrong is not the service's.
      const own = (error.stdout ?? "").split("\n").filter((line) => /^(src|test|example)\//.test(line));
      assert.deepEqual(own, [], directory);
    });
  }
});
