import { chmod, lstat, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { NexusError } from "../base/errors.ts";
import type { PlannedFile, ServicePlan } from "./plan-service.ts";

export interface WriteOptions {
  /** The checkout of Nexus, which the plan's links lead to. */
  readonly nexus: string;
  /** Whether files that are there and differ may be replaced. */
  readonly overwrite: boolean;
}

/**
 * Paths of a plan where there is something else already.
 * @throws NexusError `conflict` when there is a file where the service's folder is to be.
 */
export async function conflictsOf({ directory, files }: ServicePlan): Promise<readonly string[]> {
  const conflicts: string[] = [];
  for (const { path, bytes } of files) {
    const isBlocked = (await obstacleTo(directory, path)) !== undefined;
    const there = isBlocked ? undefined : await readFile(join(directory, path)).catch(nothingThere);
    if (isBlocked || (there !== undefined && !there.equals(bytes))) conflicts.push(path);
  }
  return conflicts;
}

/**
 * Writes a planned service. Looks at everything before it writes anything; other files of the folder stay.
 * @throws NexusError `conflict` that names files which are there and differ, or what stands in a file's place.
 */
export async function writeService(plan: ServicePlan, { nexus, overwrite }: WriteOptions): Promise<void> {
  const conflicts = await conflictsOf(plan);
  if (conflicts.length > 0 && !overwrite) {
    throw new NexusError(
      "conflict",
      `${plan.directory} has other files already: ${conflicts.slice(0, 5).join(", ")}${conflicts.length > 5 ? ", ..." : ""}. Choose another folder, or --overwrite them.`,
    );
  }
  for (const path of conflicts) {
    const obstacle = await obstacleTo(plan.directory, path);
    if (obstacle === undefined) continue;
    throw new NexusError("conflict", `${obstacle} is in the way of ${path}. Move it away, or choose another folder.`);
  }
  for (const file of plan.files) await writeOne(plan.directory, file);
  for (const link of plan.links) await makeLink(join(plan.directory, link), nexus);
}

/** What is no file where one is to be, or no folder on the way there: above all links, which may lead anywhere. */
async function obstacleTo(directory: string, path: string): Promise<string | undefined> {
  const names = path.split("/");
  for (let depth = 1; depth <= names.length; depth += 1) {
    const place = names.slice(0, depth).join("/");
    const there = await lstat(join(directory, place)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOTDIR") return nothingThere(error);
      throw new NexusError("conflict", `${directory} is no folder. Choose another one.`, { cause: error });
    });
    if (there === undefined) return undefined;
    if (depth < names.length ? !there.isDirectory() : !there.isFile()) return place;
  }
  return undefined;
}

function nothingThere(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}

async function writeOne(directory: string, { path, bytes, isExecutable }: PlannedFile): Promise<void> {
  const file = join(directory, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, bytes);
  if (isExecutable) await chmod(file, 0o755);
}

/** Leaves what is there alone: somebody has installed it, or it leads there already. */
async function makeLink(path: string, target: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await symlink(relative(dirname(path), target), path, "dir").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
}
