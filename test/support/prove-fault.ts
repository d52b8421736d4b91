import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { startService } from "../../src/cli/started-service.ts";
import { startBrokenService } from "../fakes/broken/broken-service.ts";
import type { Fault } from "../fakes/broken/fault.ts";
import { goodEverything } from "../fakes/good-everything.ts";
import { goodForms } from "../fakes/good-forms.ts";
import { failuresOf, heldPace, report } from "./conformance.ts";
import { runInTest } from "./run-in-test.ts";

const options = { timeout: 60_000 };
const script = fileURLToPath(new URL("../fakes/broken/broken-process.ts", import.meta.url));

/** A service without any fault, which takes everything. */
export const sound: Fault = { breaks: "nothing", defect: "nothing is wrong with it", concerns: () => false };

/** Tests that the whole suite fails a service with this fault by the one check, and the sound one by none. */
export function proveFault(fault: Fault): void {
  test(`${fault.breaks}, and nothing else, finds a service when ${fault.defect}`, options, async (t) => {
    const { url } = await runInTest(t, fault.of === "forms" ? goodForms() : goodEverything({}, heldPace));
    const broken = await startBrokenService(url, fault);
    t.after(() => broken.close());
    mustFailBy(fault, failuresOf(await report({ baseUrl: broken.url, signal: t.signal })));
  });
}

/** The same of a service in a process of its own, which the suite ends. */
export function proveProcessFault(fault: Fault): void {
  test(`${fault.breaks}, and nothing else, finds a process when ${fault.defect}`, options, async (t) => {
    const started = await startService({
      command: `'${process.execPath}' '${script}'`,
      environment: { PATH: process.env.PATH, FAULT: fault.breaks, OF: fault.of ?? "" },
      signal: t.signal,
    });
    t.after(() => started.end());
    const results = await report({ baseUrl: started.baseUrl, process: started, signal: t.signal });
    mustFailBy(fault, failuresOf(results));
    // A check that was skipped has proven nothing.
    const seen = results.filter(({ id, status }) => /^(drain|process)\./.test(id) && status !== "skip");
    assert.ok(seen.length >= 3, JSON.stringify(seen));
  });
}

function mustFailBy(fault: Fault, failures: ReturnType<typeof failuresOf>): void {
  const expected = fault.breaks === sound.breaks ? [] : [fault.breaks];
  const found = failures.map(({ id }) => id);
  assert.deepEqual(found, expected, JSON.stringify(failures));
}
