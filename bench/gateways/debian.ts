import { existsSync } from "node:fs";
import { run } from "../processes.ts";
import type { PrepareOptions } from "./gateway.ts";

/** `apt-get update`, once a run. */
let updated: Promise<unknown> | undefined;

/**
 * Makes sure that a program of a Debian package is there, installing it when that is allowed and possible.
 * @throws Error that says what to do.
 */
export async function needDebian(
  program: string,
  packageName: string,
  { mayInstall, isQuick, signal }: PrepareOptions,
): Promise<void> {
  if (findProgram(program)) return;
  const hint = `${program} is not installed: \`apt-get install ${packageName}\``;
  if (!mayInstall || process.getuid?.() !== 0 || !findProgram("apt-get")) throw new Error(hint);
  const limits = { timeoutMs: isQuick ? 40_000 : 300_000, signal };
  updated ??= run(["apt-get", "update", "-qq"], limits);
  await updated;
  const install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", packageName];
  await run(install, limits);
  if (!findProgram(program)) throw new Error(hint);
}

function findProgram(program: string): boolean {
  const directories = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/usr/local/sbin", "/sbin"];
  return directories.some((directory) => existsSync(`${directory}/${program}`));
}
