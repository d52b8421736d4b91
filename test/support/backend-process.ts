import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { FakeBackendOptions } from "../fakes/fake-backend.ts";

const main = fileURLToPath(new URL("../fakes/fake-backend-process.ts", import.meta.url));

/** A fake backend in a process of its own. */
export interface BackendProcess {
  readonly url: string;
  readonly port: number;
  readonly process: ChildProcess;
  /** Sends a signal; SIGKILL is waited for. */
  signal(name: "SIGKILL" | "SIGSTOP" | "SIGCONT"): Promise<void>;
}

/** Starts one for the length of a test. */
export async function startBackendProcess(t: TestContext, options: FakeBackendOptions = {}): Promise<BackendProcess> {
  const child = spawn(process.execPath, [main], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, FAKE_OPTIONS: JSON.stringify(options) },
  });
  t.after(() => child.kill("SIGKILL"));
  let printed = "";
  for await (const chunk of child.stdout) {
    printed += String(chunk);
    if (printed.includes("\n")) break;
  }
  const { url } = JSON.parse(printed) as { url: string };
  return {
    url,
    port: Number(new URL(url).port),
    process: child,
    async signal(name) {
      const ended = name === "SIGKILL" ? once(child, "exit") : undefined;
      child.kill(name);
      await ended;
    },
  };
}
