import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Problem } from "../control/status.ts";

/** What was put aside because it could not be read: the platform goes on without it, and its owner has to know. */
export function damagedFiles(dataDirectory: string): Problem[] {
  return readdirSync(dataDirectory)
    .filter((name) => /\.json\.corrupt-/.test(name))
    .map((name) => ({
      subject: name.slice(0, name.indexOf(".corrupt-")),
      message: `The file could not be read at a start and was put aside as ${join(dataDirectory, name)}.`,
      fix: "Take from it what is missed, such as servers to attach again; then delete it.",
    }));
}
