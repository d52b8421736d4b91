import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { describeError } from "../base/errors.ts";
import { CliError } from "./cli-error.ts";
import type { CliContext } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";

/**
 * Where a verb's file goes. Looked at before anything is asked: what took minutes to make must not be lost in the end.
 * @throws CliError when no file can be written there.
 */
export async function findOutput({ workingDirectory }: CliContext, output: string): Promise<string> {
  const place = resolve(workingDirectory, output);
  try {
    await access(dirname(place), constants.W_OK);
    if ((await stat(place).catch(() => undefined))?.isDirectory() === true) throw new Error("it is a directory");
  } catch (error) {
    const message = `${output} cannot be written: ${describeError(error)}.`;
    throw new CliError(exitCodes.usage, "usage", message, { cause: error });
  }
  return place;
}
