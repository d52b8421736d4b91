import type { Handler, Service } from "../../src/service-kit/index.ts";
import { goodEverything } from "./good-everything.ts";
import type { Pace } from "./good-service.ts";

/** A good service whose operations all take forms: it writes down what it hears. `pace` is awaited before each. */
export function goodForms(pace?: Pace): Service {
  const { handlers } = goodEverything();
  const heard = (["audio.transcriptions.create", "audio.translations.create"] as const).map((id) => {
    const slowly: Handler = async (request) => {
      await pace?.(0, request.signal);
      return (await handlers[id]?.(request)) as Awaited<ReturnType<Handler>>;
    };
    return [id, slowly] as const;
  });
  return goodEverything({
    capabilities: { domains: ["transcription"], streaming: true, max_concurrency: 2 },
    models: () => [{ id: "fake-ear", domains: ["transcription"], state: "loaded" }],
    handlers: Object.fromEntries(heard),
  });
}
