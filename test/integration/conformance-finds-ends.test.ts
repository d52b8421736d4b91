import { processFaults } from "../fakes/broken/process-faults.ts";
import { proveProcessFault, sound } from "../support/prove-fault.ts";

// proves: contract.check-finds, contract.drain
for (const fault of [sound, { ...sound, of: "forms" } as const, ...processFaults]) proveProcessFault(fault);
