import { accessSync, constants, statSync } from "node:fs";
import { delimiter, resolve } from "node:path";

export interface SearchPlaces {
  /** As in `PATH`. */
  readonly path: string;
  /** Where the program would be started: a name with a slash in it is looked for from there. Default: here. */
  readonly directory?: string;
}

/** The file that the system would run by this name; undefined where it would find none that this user may run. */
export function findProgram(name: string, { path, directory = "." }: SearchPlaces): string | undefined {
  const folders = name.includes("/") ? [directory] : path.split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => resolve(folder, name)).find(isProgram);
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
