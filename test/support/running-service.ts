import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../src/base/logger.ts";
import { defaultEmbeddingModelId, pullModel } from "../../src/blobs/index.ts";
import { readServiceEnvironment, runService, type Service } from "../../src/service-kit/index.ts";
import { waitFor } from "./wait-for.ts";

/** JSON as tests look at it. */
// biome-ignore lint/suspicious/noExplicitAny: tests read answers of many shapes and fail where one is wrong
export type Answer = any;

export interface RunningService {
  readonly url: string;
  get(path: string): Promise<{ readonly status: number; readonly body: Answer }>;
  post(path: string, body: object): Promise<{ readonly status: number; readonly body: Answer }>;
  /** Waits until `/readyz` says something else than `starting`, and returns its body. */
  settled(): Promise<Answer>;
  close(): Promise<void>;
}

/** A service in this process, on a free port of loopback. */
export async function startService(service: Service): Promise<RunningService> {
  const running = await runService(service, readServiceEnvironment({ NEXUS_LOG_LEVEL: "silent" }), {
    ownsProcess: false,
    log: silentLogger,
  });
  const read = async (response: Response) => ({ status: response.status, body: (await response.json()) as Answer });
  const get = async (path: string) => await read(await fetch(`${running.url}${path}`));
  return {
    url: running.url,
    get,
    post: async (path, body) =>
      await read(
        await fetch(`${running.url}${path}`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
        }),
      ),
    async settled() {
      const isSettled = async () => {
        const { body } = await get("/readyz");
        return body.state !== "starting" && body;
      };
      return await waitFor("it has started", isSettled, 100_000);
    },
    close: () => running.close(),
  };
}

/** Where models are kept between test runs. */
export function sharedModelsDirectory(): string {
  return process.env.NEXUS_TEST_MODELS || join(tmpdir(), "nexus-test-models");
}

/** Why the real model cannot be had, or false. Fetched once, then kept. On CI it must be had. */
export async function missingModel(id = defaultEmbeddingModelId): Promise<string | false> {
  const directory = sharedModelsDirectory();
  const signal = AbortSignal.timeout(120_000);
  try {
    await pullModel({ id, directory, environment: process.env, signal, log: silentLogger });
    return false;
  } catch (error) {
    if (process.env.CI) throw error;
    return `${id} cannot be had: ${error instanceof Error ? error.message : String(error)}`;
  }
}
