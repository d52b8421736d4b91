import { silentLogger } from "nexus/base";
import { readServiceEnvironment, runService } from "nexus/service-kit";
import { waitFor } from "../../../../test/support/wait-for.ts";
import { createLlmService } from "../../src/create-llm-service.ts";
import type { LlmSettings } from "../../src/settings.ts";

export interface RunningLlm {
  readonly url: string;
  /** Posts JSON to `/v1/PATH`. */
  post(path: string, body: object, signal?: AbortSignal): Promise<Response>;
  /** The parsed answer, whatever its status. */
  ask(path: string, body: object): Promise<{ readonly status: number; readonly body: Answer }>;
  /** The `data:` events of a streamed answer, `[DONE]` and all. */
  stream(path: string, body: object): Promise<readonly string[]>;
  get(path: string): Promise<{ readonly status: number; readonly body: Answer }>;
  /** Waits until `/readyz` says so. */
  ready(): Promise<void>;
  close(): Promise<void>;
}

/** JSON as tests look at it. */
// biome-ignore lint/suspicious/noExplicitAny: tests read answers of many shapes and fail where one is wrong
export type Answer = any;

const defaults = { contextTokens: 512, threads: 1, parallel: 2, loadedMax: 2 };

/** The service in this process, on a free port of loopback. */
export async function startLlm(
  settings: Partial<LlmSettings> & Pick<LlmSettings, "modelId" | "modelsDirectory">,
  environment: Readonly<Record<string, string | undefined>> = {},
): Promise<RunningLlm> {
  const service = createLlmService({
    settings: { ...defaults, ...settings },
    version: "0.0.0",
    backendVersion: "test",
    environment,
  });
  const running = await runService(service, readServiceEnvironment({ NEXUS_LOG_LEVEL: "silent" }), {
    ownsProcess: false,
    log: silentLogger,
  });
  const post = (path: string, body: object, signal?: AbortSignal): Promise<Response> =>
    fetch(`${running.url}/v1/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
  const read = async (response: Response) => ({ status: response.status, body: (await response.json()) as Answer });
  const get = async (path: string) => await read(await fetch(`${running.url}${path}`));
  return {
    url: running.url,
    post,
    ask: async (path, body) => await read(await post(path, body)),
    async stream(path, body) {
      const text = await (await post(path, { ...body, stream: true })).text();
      return text
        .split("\n\n")
        .filter((event) => event.startsWith("data: "))
        .map((event) => event.slice("data: ".length));
    },
    get,
    async ready() {
      const isReady = async () => {
        const { status, body } = await get("/readyz");
        if (body.state === "failed") throw new Error(JSON.stringify(body.checks));
        return status === 200;
      };
      await waitFor("it is ready", isReady, 90_000);
    },
    close: () => running.close(),
  };
}
