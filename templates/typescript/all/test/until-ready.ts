import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

/** Waits until the service under `url` is ready, and says where it is. */
export async function untilReady(t: TestContext, url: string): Promise<string> {
  while (!(await fetch(`${url}/readyz`, { signal: t.signal })).ok) await pause(20, undefined, { signal: t.signal });
  return url;
}
