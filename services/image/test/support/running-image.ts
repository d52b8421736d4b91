import type { TestContext } from "node:test";
import { silentLogger } from "nexus/base";
import { readServiceEnvironment, runService } from "nexus/service-kit";
import { waitFor } from "../../../../test/support/wait-for.ts";
import { createImageService } from "../../src/create-image-service.ts";
import { openBackend } from "../../src/open-backend.ts";
import { readImageSettings } from "../../src/settings.ts";
import type { Json } from "../fakes/fake-http.ts";

export interface RunningImage {
  readonly url: string;
  get(path: string): Promise<{ readonly status: number; readonly body: Json }>;
  /** Posts JSON or a form to `/v1/images/PATH`. */
  post(path: string, body: object, signal?: AbortSignal): Promise<Response>;
  ask(path: string, body: object): Promise<{ readonly status: number; readonly body: Json }>;
  /** Requests that are worked on. */
  active(): Promise<number>;
}

/** The service in this process until the test ends, with `NEXUS_IMAGE_*` of these settings; waits until it knows its backend. */
export async function startImage(
  t: TestContext,
  settings: Readonly<Record<string, string>>,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<RunningImage> {
  const variables = Object.fromEntries(Object.entries(settings).map(([name, value]) => [`NEXUS_IMAGE_${name}`, value]));
  const read = readImageSettings(variables);
  const service = createImageService({ settings: read, backend: openBackend(read, environment), version: "0.0.0" });
  const running = await runService(service, readServiceEnvironment({ NEXUS_LOG_LEVEL: "silent" }), {
    ownsProcess: false,
    log: silentLogger,
  });
  t.after(() => running.close());
  const answerOf = async (response: Response) => ({ status: response.status, body: (await response.json()) as Json });
  const get = async (path: string) => await answerOf(await fetch(`${running.url}${path}`));
  const post = (path: string, body: object, signal?: AbortSignal) =>
    fetch(`${running.url}/v1/images/${path}`, {
      method: "POST",
      ...(body instanceof FormData
        ? { body }
        : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      ...(signal === undefined ? {} : { signal }),
    });
  await waitFor("it knows its backend", async () => (await get("/readyz")).body.state !== "starting");
  return {
    url: running.url,
    get,
    post,
    ask: async (path, body) => await answerOf(await post(path, body)),
    async active() {
      const text = await (await fetch(`${running.url}/metrics`)).text();
      return Number(/^nexus_service_slots_active\S* (\d+)/m.exec(text)?.[1]);
    },
  };
}

/** The events of a typed stream. */
export async function eventsOf(response: Response): Promise<readonly Json[]> {
  const text = await response.text();
  return [...text.matchAll(/^data: (.*)$/gm)].map(([, data = ""]) => JSON.parse(data));
}
