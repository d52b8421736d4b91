import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { ErrorBody } from "../base/error-body.ts";
import type { DataPaths } from "../config/paths.ts";
import { CliError } from "./cli-error.ts";
import type { CliContext } from "./context.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { describeStarted, type StartedSummary } from "./started-summary.ts";
import type { Answer } from "./verb.ts";
import type { UpFlags } from "./verbs/up.ts";

/**
 * `up --detach`: runs `up --json` in a session of its own and waits for the one document that it prints when the gateway
 * is ready. The first key comes in that document, so that it is in no file.
 */
export async function startDetached(context: CliContext, flags: UpFlags, paths: DataPaths): Promise<Answer> {
  const { child, output, errorLog } = launch(context, flags, paths);
  const release = context.interrupts.take(() => child.kill("SIGTERM"));
  try {
    const document = await firstDocument(output);
    if (document === undefined || "error" in document) {
      if (child.exitCode === null) await once(child, "exit");
      throw toCliError(document, child.exitCode, errorLog);
    }
    return { json: document, text: describeStarted(document, context, { isDetached: true }) };
  } finally {
    release();
    output.destroy();
    child.unref();
  }
}

function launch(context: CliContext, flags: UpFlags, paths: DataPaths) {
  mkdirSync(paths.logs, { recursive: true, mode: 0o700 });
  const errorLog = join(paths.logs, "up.log");
  const errors = openSync(errorLog, "w", 0o600);
  const child: ChildProcess = spawn(process.execPath, [context.entry, "up", "--json", ...repeatFlags(flags)], {
    cwd: context.workingDirectory,
    env: { ...context.environment },
    detached: true,
    stdio: ["ignore", "pipe", errors],
  });
  closeSync(errors);
  if (child.stdout === null) throw new Error("a child without its stdout");
  return { child, output: child.stdout, errorLog };
}

function repeatFlags(flags: UpFlags): string[] {
  const { data, config, host, port, builtin, discovery } = flags;
  const values = Object.entries({ data, config, host, port }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, String(value)],
  );
  const switches = Object.entries({ builtin, discovery }).flatMap(([name, value]) =>
    value === undefined ? [] : [value ? `--${name}` : `--no-${name}`],
  );
  return [...values, ...switches];
}

/** The pretty-printed document that the child writes; undefined when it ends without one. */
async function firstDocument(output: Readable): Promise<StartedSummary | ErrorBody | undefined> {
  let text = "";
  for await (const chunk of output.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (text.endsWith("\n}\n")) return JSON.parse(text) as StartedSummary | ErrorBody;
  }
  return undefined;
}

function toCliError(document: ErrorBody | undefined, exitCode: number | null, errorLog: string): CliError {
  const status: ExitCode = Object.values(exitCodes).find((code) => code === exitCode && code !== 0) ?? exitCodes.failed;
  if (document === undefined) {
    const said = readFileSync(errorLog, "utf8").trim().split("\n").at(-1) ?? "";
    return new CliError(status, "start_failed", said === "" ? "The platform ended while it started." : said, {
      hint: `${errorLog} may tell more.`,
    });
  }
  const { message, code, hint } = document.error as ErrorBody["error"] & { hint?: string };
  return new CliError(status, code, message, hint === undefined ? {} : { hint });
}
