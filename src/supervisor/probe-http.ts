import { request } from "undici";
import type { Clock } from "../base/clock.ts";
import { describeError } from "../base/errors.ts";

/**
 * Asks once, on a connection of its own: a process that no longer accepts must not pass on an old one. Resolves to the
 * reason of the failure, or to undefined on any 2xx. Never rejects; takes `timeoutMs` at most.
 */
export async function probeHttp(url: URL, timeoutMs: number, clock: Clock): Promise<string | undefined> {
  const timeout = new AbortController();
  const cancel = clock.after(timeoutMs, () => timeout.abort(new Error(`no answer within ${timeoutMs} ms`)));
  try {
    const answer = await request(url, { signal: timeout.signal, reset: true });
    // The status is the answer; whatever body comes with it may be endless.
    answer.body.on("error", () => {}).destroy();
    return answer.statusCode >= 200 && answer.statusCode < 300 ? undefined : `status ${answer.statusCode}`;
  } catch (error) {
    return describeError(error);
  } finally {
    cancel();
  }
}
