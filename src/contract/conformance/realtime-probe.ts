import type { Probe } from "./probe.ts";

/** One event as it came; what is none has the type `no event`. */
export interface HeardEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** How a conversation ended. */
export interface Closing {
  readonly code: number;
  /** Whether both sides said so. */
  readonly isClean: boolean;
}

/** A conversation with the service under test. */
export interface TestTalk {
  say(event: object | string): void;
  /** Waits for an event of this type and resolves with all that came since the last call, that one at the end. */
  until(type: string, timeoutMs?: number): Promise<readonly HeardEvent[]>;
  close(): void;
  readonly closed: Promise<Closing>;
}

const usualMs = 10_000;
/** More than any check makes a service say. */
const eventsMax = 10_000;

/** Opens a WebSocket. @throws Error when the service does not open it, or not in time. */
export async function openTalk(probe: Probe, path: string): Promise<TestTalk> {
  const socket = new WebSocket(probe.baseUrl.replace(/^http/, "ws") + path, {
    protocols: ["realtime"],
    headers: probe.key === undefined ? {} : { authorization: `Bearer ${probe.key}` },
  });
  const heard: HeardEvent[] = [];
  let wake = (): void => {};
  const closed = new Promise<Closing>((resolve) => {
    socket.addEventListener("close", ({ code, wasClean: isClean }) => {
      resolve({ code, isClean });
      wake();
    });
  });
  socket.addEventListener("message", ({ data }) => {
    if (heard.length < eventsMax) heard.push(parse(data));
    wake();
  });
  const opened = new Promise<void>((resolve, reject) => {
    socket.addEventListener("open", () => resolve());
    socket.addEventListener("error", () => reject(new Error(`no WebSocket was opened at ${path}`)));
  });
  await bounded(opened, usualMs, probe.signal, `no WebSocket was opened at ${path}`);
  let isOver = false;
  void closed.then(() => {
    isOver = true;
  });
  const next = async (type: string): Promise<readonly HeardEvent[]> => {
    for (;;) {
      const at = heard.findIndex((event) => event.type === type);
      if (at >= 0) return heard.splice(0, at + 1);
      if (isOver) throw new Error(`the conversation ended without ${type}${lastError(heard)}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return {
    say: (event) => socket.send(typeof event === "string" ? event : JSON.stringify(event)),
    until: async (type, timeoutMs = usualMs) => await bounded(next(type), timeoutMs, probe.signal, `no ${type} came`),
    close: () => socket.close(1000),
    closed,
  };
}

function parse(data: unknown): HeardEvent {
  try {
    const value: unknown = JSON.parse(String(data));
    if (typeof value === "object" && value !== null && "type" in value && typeof value.type === "string") {
      return value as HeardEvent;
    }
  } catch {
    // Said below.
  }
  return { type: "no event" };
}

function lastError(heard: readonly HeardEvent[]): string {
  const error = heard.findLast(({ type }) => type === "error");
  return error === undefined ? "" : `: ${JSON.stringify(error.error).slice(0, 160)}`;
}

/** The promise's outcome, or an error that says what did not happen in time. */
export async function bounded<T>(promise: Promise<T>, ms: number, signal: AbortSignal, problem: string): Promise<T> {
  const late = AbortSignal.any([signal, AbortSignal.timeout(ms)]);
  return await new Promise<T>((resolve, reject) => {
    const onLate = (): void => reject(signal.aborted ? signal.reason : new Error(`${problem} within ${ms} ms`));
    late.addEventListener("abort", onLate, { once: true });
    promise.then(resolve, reject).finally(() => late.removeEventListener("abort", onLate));
  });
}
