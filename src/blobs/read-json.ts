import { readFile } from "node:fs/promises";

/** What another process left in a file of ours; undefined when that is missing, or not written to its end. */
export async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as T;
  } catch {
    return undefined;
  }
}
