import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { PrepareOptions } from "./gateway.ts";

/** Where peers are installed; Git, Biome and the compiler pass it by. */
export const peersDirectory = fileURLToPath(new URL("../peers", import.meta.url));
export const installedDirectory = join(peersDirectory, "node_modules");

/** What a peer may be given to be installed. The largest one is 700 MB of Python. */
const installMs = 600_000;
const quickInstallMs = 20_000;

/** How long an installation may take. */
export function patience({ isQuick }: PrepareOptions): number {
  return isQuick ? quickInstallMs : installMs;
}

/** Installs what isn't there. @throws Error when it isn't there and may not be installed. */
export async function installOnce(
  file: string,
  options: PrepareOptions,
  install: () => Promise<unknown>,
): Promise<void> {
  if (existsSync(file)) return;
  if (!options.mayInstall) throw new Error("not installed, and --no-install was given");
  mkdirSync(installedDirectory, { recursive: true });
  await install();
  if (!existsSync(file)) throw new Error(`its installation left no ${file}`);
}
