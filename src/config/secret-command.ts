import { spawn } from "node:child_process";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";

/** A password manager may ask somebody for a finger on a button; longer is a command that hangs. */
const timeoutMs = 30_000;
/** No key is longer. */
const outputBytesMax = 16 * 1024;
/** A rotated key is used this much later at most. */
const rememberedMs = 5 * 60_000;
/** Requests that come while a command fails must not run it once each. */
const failureRememberedMs = 10_000;

export interface SecretCommandsOptions {
  /** The commands that may be run: those of the configuration file, and nobody else's. */
  readonly allowed: readonly string[];
  /** Of the commands. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Default 30 s. */
  readonly timeoutMs?: number;
}

interface Remembered {
  readonly output: Promise<string>;
  until: number;
}

/**
 * Runs the commands that print keys (`pass show anthropic`, `op read ...`), each once at a time, and remembers what they
 * printed for five minutes. Nothing that a command prints is logged or becomes part of an error.
 */
export class SecretCommands {
  readonly #options: SecretCommandsOptions;
  #allowed: ReadonlySet<string>;
  readonly #remembered = new Map<string, Remembered>();

  constructor(options: SecretCommandsOptions) {
    this.#options = options;
    this.#allowed = new Set(options.allowed);
  }

  /** From now on these may be run, and no others. */
  allow(commands: readonly string[]): void {
    this.#allowed = new Set(commands);
  }

  /** What the command prints. @throws NexusError `invalid_request` when it is not allowed, fails, hangs or prints too much. */
  output(command: string): Promise<string> {
    const { clock } = this.#options;
    if (!this.#allowed.has(command)) {
      return Promise.reject(refused("A command that prints a key is taken from the configuration file only."));
    }
    const before = this.#remembered.get(command);
    if (before !== undefined && clock.monotonic() < before.until) return before.output;
    const output = run(command, this.#options);
    const entry: Remembered = { output, until: Number.POSITIVE_INFINITY };
    const keepFor = (ms: number) => {
      entry.until = clock.monotonic() + ms;
    };
    this.#remembered.set(command, entry);
    output.then(
      () => keepFor(rememberedMs),
      () => keepFor(failureRememberedMs),
    );
    return output;
  }
}

/** In a process group of its own: a shell may have started others, which hold its output open. */
function run(command: string, options: SecretCommandsOptions): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = spawn("/bin/sh", ["-c", command], {
    env: { ...options.environment },
    stdio: ["ignore", "pipe", "ignore"],
    detached: true,
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  const stop = (message: string) => {
    reject(refused(message));
    killGroup(child.pid);
    child.stdout.destroy();
  };
  const cancelTimer = options.clock.after(options.timeoutMs ?? timeoutMs, () => stop("The command does not end."));
  child.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    chunks.push(chunk);
    if (bytes > outputBytesMax) stop(`The command prints more than a key can be (${outputBytesMax} bytes).`);
  });
  child.once("error", () => {
    cancelTimer();
    stop("The command cannot be run: there is no /bin/sh.");
  });
  child.once("close", (code) => {
    cancelTimer();
    if (code === 0) resolve(Buffer.concat(chunks).toString("utf8"));
    else reject(refused(`The command ends with ${code === null ? "a signal" : `code ${code}`}.`));
  });
  return promise;
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

function refused(message: string): NexusError {
  return new NexusError("invalid_request", message, { param: "key_from" });
}
