import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import type { TestContext } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { main } from "./command-line.ts";
import { waitFor } from "./wait-for.ts";

/** util-linux's `script` gives a program a terminal; Debian always has it. */
export const needsTerminal = spawnSync("script", ["--version"]).status === 0 ? false : "needs `script` of util-linux";

export interface Screen {
  readonly child: ChildProcess;
  readonly raw: () => string;
  type(text: string): void;
  /** Resolves when the pattern is on the screen, after what was seen before. */
  until(pattern: RegExp): Promise<void>;
  readonly ended: Promise<number | null>;
}

/** Runs `nexus ARGS` on a terminal of 100 columns. */
export function onTerminal(
  t: TestContext,
  args: readonly string[],
  env: Record<string, string> = {},
  cwd = tmpdir(),
): Screen {
  const command = ["stty cols 100 rows 40;", "exec", process.execPath, main, ...args].join(" ");
  const child = spawn("script", ["-qec", command, "/dev/null"], {
    env: { PATH: process.env.PATH ?? "", HOME: "/nonexistent", TERM: "xterm", ...env },
    stdio: ["pipe", "pipe", "inherit"],
    cwd,
  });
  t.after(() => child.kill("SIGKILL"));
  let raw = "";
  let seen = 0;
  const ended = once(child, "close").then(([code]) => code as number | null);
  child.stdout?.on("data", (chunk) => {
    raw += String(chunk);
  });
  return {
    child,
    raw: () => raw,
    ended,
    type: (text) => void child.stdin?.write(text),
    async until(pattern) {
      const unseen = () => stripVTControlCharacters(raw).slice(seen);
      const said = () => `${pattern} on the screen, which shows: ${unseen()}`;
      const found = await waitFor(said, () => {
        const match = pattern.exec(unseen());
        assert.ok(match !== null || (child.exitCode === null && child.signalCode === null), said());
        return match;
      });
      seen += found.index + found[0].length;
    },
  };
}
