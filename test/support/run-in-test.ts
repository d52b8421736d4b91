import type { TestContext } from "node:test";
import { type LogFields, type Logger, silentLogger } from "../../src/base/logger.ts";
import {
  type RunServiceOptions,
  readServiceEnvironment,
  runService,
  type Service,
} from "../../src/service-kit/index.ts";

/** Runs a service on a free port for the length of one test. */
export async function runInTest(t: TestContext, service: Service, options: RunServiceOptions = {}) {
  const environment = readServiceEnvironment({ NEXUS_INSTANCE: "one", NEXUS_HOST_ID: "here" });
  const running = await runService(service, environment, { ownsProcess: false, log: silentLogger, ...options });
  t.after(() => running.close());
  return running;
}

/** A logger that keeps its lines, with the fields of its parents in them. */
export function recordingLogger() {
  const lines: (LogFields & { level: string; message: string })[] = [];
  let waiting: (() => void)[] = [];
  const at = (level: string, parents: LogFields) => (fields: LogFields, message: string) => {
    lines.push({ ...parents, ...fields, level, message });
    for (const resolve of waiting.splice(0)) resolve();
  };
  const make = (parents: LogFields): Logger => ({
    debug: at("debug", parents),
    info: at("info", parents),
    warn: at("warn", parents),
    error: at("error", parents),
    child: (fields) => make({ ...parents, ...fields }),
  });
  /** Resolves with the first line that fits, now or later. */
  const seen = async (fits: (line: (typeof lines)[number]) => boolean) => {
    for (;;) {
      const line = lines.find(fits);
      if (line !== undefined) return line;
      await new Promise<void>((resolve) => {
        waiting = [...waiting, resolve];
      });
    }
  };
  return { log: make({}), lines, seen };
}

/** Sends a chat. */
export function chat(url: string, fields: object = {}, init: RequestInit = {}): Promise<Response> {
  const body = JSON.stringify({ model: "fake-chat", messages: [{ role: "user", content: "Hi" }], ...fields });
  const headers = { "content-type": "application/json" };
  return fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body, ...init });
}
