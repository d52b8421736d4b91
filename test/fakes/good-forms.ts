import type { Service } from "../../src/service-kit/index.ts";
import { goodEverything } from "./good-everything.ts";

/** A good service whose operations all take forms: it writes down what it hears. */
export function goodForms(): Service {
  const { handlers } = goodEverything();
  const heard = Object.entries(handlers).filter(([id]) => id.startsWith("audio.trans"));
  return goodEverything({
    capabilities: { domains: ["transcription"], streaming: true, max_concurrency: 2 },
    models: () => [{ id: "fake-ear", domains: ["transcription"], state: "loaded" }],
    handlers: Object.fromEntries(heard),
  });
}
