import { closestName } from "../../base/close-names.ts";
import { CliError } from "../cli-error.ts";
import { exitCodes } from "../exit-codes.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { findLogEnds, followLogs, formatLogLine, type LogLine, lastLines, listLogs } from "../log-files.ts";
import { findPlatform } from "../platform.ts";
import type { Verb } from "../verb.ts";

export interface LogsFlags extends DataFlag, JsonFlag {
  readonly follow?: boolean;
  readonly lines: number;
}

/** `nexus logs [NAME]`. Reads the files, so that it works when nothing runs any more. */
export const logs: Verb<LogsFlags, [name?: string]> = async ({ context }, flags, name) => {
  if (flags.follow === true && flags.json === true) {
    throw new CliError(exitCodes.usage, "usage", "--follow never ends, and --json prints one document: choose one.");
  }
  const { paths } = findPlatform(context, flags);
  if (paths === undefined) {
    throw new CliError(exitCodes.usage, "usage", "Logs are files on the platform's own machine.", {
      hint: "Run `nexus logs` there, or name a data directory with --data.",
    });
  }
  const names = await logNames(paths.logs, name);
  const lines = await lastLines(paths.logs, names, flags.lines);
  const format = (line: LogLine) => formatLogLine(line, context.terminal, names.length > 1);
  if (flags.follow === true) {
    const { signal } = context.interrupts;
    const from = await findLogEnds(paths.logs, names);
    context.terminal.print(...lines.map(format));
    await followLogs({
      directory: paths.logs,
      from,
      signal,
      onLine: (line) => context.terminal.print(format(line)),
    });
    return undefined;
  }
  return { json: { lines }, text: lines.map(format) };
};

async function logNames(directory: string, wanted: string | undefined): Promise<string[]> {
  const names = await listLogs(directory);
  if (wanted === undefined) {
    if (names.length > 0) return names.toSorted();
    throw new CliError(exitCodes.notReady, "no_platform", `There are no logs in ${directory}.`, {
      hint: "Start a platform with `nexus up`, or name another with --data.",
    });
  }
  if (names.includes(wanted)) return [wanted];
  const meant = closestName(wanted, names);
  throw new CliError(exitCodes.failed, "not_found", `There is no log of '${wanted}'.`, {
    hint: meant === undefined ? `There are: ${names.join(", ") || "none"}.` : `Did you mean ${meant}?`,
  });
}
