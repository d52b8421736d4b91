import assert from "node:assert/strict";
import { test } from "node:test";
import { conformanceChecks } from "../../src/contract/conformance/run-conformance.ts";
import { apiFaults } from "../fakes/broken/api-faults.ts";
import { faults } from "../fakes/broken/faults.ts";
import { processFaults } from "../fakes/broken/process-faults.ts";
import { talkFaults } from "../fakes/broken/talk-faults.ts";
import { proveFault, sound } from "../support/prove-fault.ts";

// proves: contract.check-finds
for (const fault of [sound, ...faults]) proveFault(fault);

// proves: contract.check-finds
test("every check is proven by a service that fails it", () => {
  const all = [...faults, ...apiFaults, ...talkFaults, ...processFaults];
  const proven = new Set(all.map(({ breaks }) => breaks));
  assert.deepEqual(
    conformanceChecks.map(({ id }) => id).filter((id) => !proven.has(id)),
    [],
  );
});
