import { request } from "undici";
import type { Clock } from "../base/clock.ts";
import { type Readiness, readinessSchema } from "../contract/health.ts";
import type { ProcessStatus } from "../supervisor/process-status.ts";

export interface ReadinessWatchOptions {
  readonly processes: () => readonly ProcessStatus[];
  readonly clock: Clock;
}

/** What loading processes say of their progress. */
export interface ReadinessWatch {
  current(): ReadonlyMap<string, Readiness>;
  close(): void;
}

const intervalMs = 500;
const timeoutMs = 1_000;
const answerBytesMax = 64 * 1024;

/** Asks every process that is not ready yet, twice a second; those that are ready are left alone. */
export function watchReadiness({ processes, clock }: ReadinessWatchOptions): ReadinessWatch {
  const last = new Map<string, Readiness>();
  let cancel = () => {};
  let isClosed = false;

  const look = async (): Promise<void> => {
    const waiting = processes().filter((process) => process.url !== undefined && process.isReady === false);
    for (const name of last.keys()) if (!waiting.some((process) => process.name === name)) last.delete(name);
    await Promise.all(
      waiting.map(async ({ name, url = "" }) => {
        const readiness = await askReadiness(url);
        if (readiness === undefined) last.delete(name);
        else last.set(name, readiness);
      }),
    );
  };
  const schedule = (): void => {
    if (isClosed) return;
    cancel = clock.after(intervalMs, () => {
      look().then(schedule, schedule);
    });
  };
  schedule();
  return {
    current: () => last,
    close() {
      isClosed = true;
      cancel();
    },
  };
}

/** Undefined when it gives no answer that follows the contract, as programs of the operator's own may. */
async function askReadiness(url: string): Promise<Readiness | undefined> {
  try {
    const answer = await request(`${url}/readyz`, { signal: AbortSignal.timeout(timeoutMs) });
    let text = "";
    for await (const chunk of answer.body) {
      text += String(chunk);
      if (text.length > answerBytesMax) return undefined;
    }
    return readinessSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
