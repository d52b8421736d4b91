import { readServiceEnvironment, runService } from "../../src/service-kit/index.ts";
import { goodService } from "./good-service.ts";

// A service as a process of its own. FAKE_DEFECT=throw|reject ends it with a defect as soon as it runs; FAKE_SLOW makes
// each token take that many milliseconds.

const slowMs = Number(process.env.FAKE_SLOW ?? "0");
const pace = () => new Promise<void>((resolve) => setTimeout(resolve, slowMs));

await runService(goodService({}, pace), readServiceEnvironment(process.env));

if (process.env.FAKE_DEFECT === "throw") {
  setImmediate(() => {
    throw new Error("defect on purpose");
  });
}
if (process.env.FAKE_DEFECT === "reject") void Promise.reject(new Error("defect on purpose"));
