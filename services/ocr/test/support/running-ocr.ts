import type { TestContext } from "node:test";
import { silentLogger } from "nexus/base";
import { readServiceEnvironment, runService } from "nexus/service-kit";
import { waitFor } from "../../../../test/support/wait-for.ts";
import { createOcrService } from "../../src/create-ocr-service.ts";
import { type OcrSettings, readOcrSettings } from "../../src/settings.ts";

/** JSON as tests look at it. */
// biome-ignore lint/suspicious/noExplicitAny: tests read answers of many shapes and fail where one is wrong
export type Answer = any;

export interface RunningOcr {
  readonly url: string;
  read(body: object, signal?: AbortSignal): Promise<{ readonly status: number; readonly body: Answer }>;
  get(path: string): Promise<{ readonly status: number; readonly body: Answer }>;
}

/** The service in this process until the test ends; resolves when it is ready, or has failed to be. */
export async function startOcr(t: TestContext, settings: Partial<OcrSettings> = {}): Promise<RunningOcr> {
  const service = createOcrService({
    settings: { ...readOcrSettings({}, 2), ...settings },
    version: "0.0.0",
    backendVersion: "test",
  });
  const running = await runService(service, readServiceEnvironment({ NEXUS_LOG_LEVEL: "silent" }), {
    ownsProcess: false,
    log: silentLogger,
  });
  t.after(() => running.close());
  const answerOf = async (response: Response) => ({ status: response.status, body: (await response.json()) as Answer });
  const get = async (path: string) => await answerOf(await fetch(`${running.url}${path}`));
  await waitFor("it has loaded", async () => (await get("/readyz")).body.state !== "starting");
  return {
    url: running.url,
    get,
    read: async (body, signal) =>
      await answerOf(
        await fetch(`${running.url}/v1/ocr`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ model: "tesseract-eng", ...body }),
          ...(signal === undefined ? {} : { signal }),
        }),
      ),
  };
}
