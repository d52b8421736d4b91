import { run } from "@stricli/core";
import { buildCli } from "./app.ts";
import { CliError } from "./cli-error.ts";
import type { CliContext } from "./context.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { rootHelp } from "./root-help.ts";
import { showFailure } from "./verb.ts";

/** Runs one command line to its exit status. Never throws. */
export async function runCli(argv: readonly string[], context: Omit<CliContext, "process">): Promise<ExitCode> {
  const words = normaliseArguments(argv);
  const isJson = words.slice(0, endOfFlags(words)).includes("--json");
  const app = buildCli();
  if (isRootHelp(words)) {
    const lines = rootHelp(app.root);
    context.terminal.print(...(isJson ? [JSON.stringify({ help: lines.join("\n") }, null, 2)] : lines));
    return exitCodes.ok;
  }
  // What Stricli itself writes is help and usage errors: kept here, so that `--json` holds for them too.
  const said = { stdout: "", stderr: "" };
  const keep = (stream: keyof typeof said, text: string) => {
    said[stream] += text;
  };
  const process: CliContext["process"] = {
    stdout: { write: (text) => keep("stdout", text) },
    stderr: { write: (text) => keep("stderr", text) },
  };
  const full: CliContext = { ...context, process };
  await run(app, words, full);
  if (said.stdout !== "") {
    context.terminal.write(
      isJson ? `${JSON.stringify({ help: said.stdout }, null, 2)}\n` : `${said.stdout.trimEnd()}\n`,
    );
  }
  if (said.stderr !== "") return showFailure(full, isJson, stricliError(said.stderr.trim(), process.exitCode, words));
  return toExitCode(process.exitCode);
}

/** `help up` is `up --help`, and `--version` is `version`. */
function normaliseArguments(argv: readonly string[]): readonly string[] {
  const [first, ...rest] = argv;
  if (first === "help") return rest.length === 0 ? ["--help"] : [...rest, "--help"];
  if (first === "--version" || first === "-v") return ["version", ...rest];
  return argv;
}

function endOfFlags(words: readonly string[]): number {
  const end = words.indexOf("--");
  return end === -1 ? words.length : end;
}

function isRootHelp(words: readonly string[]): boolean {
  return words.every((word) => word === "--help" || word === "-h" || word === "--json");
}

/** Negative statuses of Stricli mean that no verb ran; most of them that the command line is wrong. */
function stricliError(message: string, exitCode: unknown, words: readonly string[]): CliError {
  const isUsage = exitCode === -4 || exitCode === -5;
  if (!isUsage) return new CliError(exitCodes.failed, "internal_error", message);
  const verb = words[0]?.startsWith("-") === false && exitCode === -4 ? ` ${words[0]}` : "";
  return new CliError(exitCodes.usage, "usage", message, { hint: `See \`nexus help${verb}\`.` });
}

function toExitCode(code: unknown): ExitCode {
  const known = Object.values(exitCodes).find((value) => value === code);
  return known ?? exitCodes.failed;
}
