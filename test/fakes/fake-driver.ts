import type { Driver, ProcessExit, ProcessHandle } from "../../src/supervisor/driver.ts";
import type { ProcessSpec } from "../../src/supervisor/process-spec.ts";

/** Processes that are entries of a table. Throws where a second one of a name would run. */
export class FakeDriver implements Driver {
  /** Everything asked of it, in order: `spawn llm`, `SIGTERM llm`, `close`. */
  readonly calls: string[] = [];
  /** Names whose processes do not go at SIGTERM. */
  readonly deaf = new Set<string>();
  /** Names that cannot be started. */
  readonly broken = new Set<string>();
  readonly #left: readonly ProcessHandle[];
  readonly #live = new Map<string, ProcessHandle>();
  readonly #watchers = new Map<string, (exit: ProcessExit) => void>();
  #pid = 100;

  /** `left`: what an earlier supervisor left running. */
  constructor(left: readonly ProcessHandle[] = []) {
    this.#left = left;
    for (const process of left) this.#live.set(process.name, process);
  }

  get live(): string[] {
    return [...this.#live.keys()];
  }

  async open(): Promise<readonly ProcessHandle[]> {
    return this.#left;
  }

  async spawn({ name, stopGraceMs }: ProcessSpec, specDigest: string): Promise<ProcessHandle> {
    this.calls.push(`spawn ${name}`);
    if (this.broken.has(name)) throw new Error("no such program");
    if (this.#live.has(name)) throw new Error(`a second ${name}`);
    const process = fakeHandle({ name, stopGraceMs, specDigest, pid: ++this.#pid });
    this.#live.set(name, process);
    return process;
  }

  watch({ id }: ProcessHandle, onExit: (exit: ProcessExit) => void): void {
    this.#watchers.set(id, onExit);
  }

  signal({ name }: ProcessHandle, signal: "SIGTERM" | "SIGKILL"): void {
    this.calls.push(`${signal} ${name}`);
    if (signal === "SIGKILL" || !this.deaf.has(name)) this.end(name, { code: null, signal });
  }

  async address(): Promise<string | undefined> {
    return undefined;
  }

  close(): void {
    this.calls.push("close");
  }

  /** Ends a process, as a crash would. */
  end(name: string, exit: ProcessExit = { code: 1, signal: null }): void {
    const process = this.#live.get(name);
    if (process === undefined) return;
    this.#live.delete(name);
    queueMicrotask(() => this.#watchers.get(process.id)?.(exit));
  }
}

export function fakeHandle(fields: Partial<ProcessHandle> & Pick<ProcessHandle, "name" | "pid">): ProcessHandle {
  const defaults = { specDigest: "", stopGraceMs: 1_000, startedAt: 0, isAdopted: false, logFile: "/dev/null" };
  return { ...defaults, id: String(fields.pid), ...fields };
}
