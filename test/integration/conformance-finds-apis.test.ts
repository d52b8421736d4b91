import { apiFaults } from "../fakes/broken/api-faults.ts";
import { formFaults } from "../fakes/broken/form-faults.ts";
import { talkFaults } from "../fakes/broken/talk-faults.ts";
import { proveFault } from "../support/prove-fault.ts";

// proves: contract.check-finds
for (const fault of [...apiFaults, ...formFaults, ...talkFaults]) proveFault(fault);
