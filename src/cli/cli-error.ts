import type { ErrorBody } from "../base/error-body.ts";
import { toErrorBody } from "../base/error-body.ts";
import { describeError, NexusError } from "../base/errors.ts";
import { ConfigError } from "../config/config-error.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";

/** A verb can't do what it was asked to: what happened, in which exit status it ends, and what to do. */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  readonly code: string;
  /** The next step, as a sentence of its own. */
  readonly hint: string | undefined;

  constructor(exitCode: ExitCode, code: string, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "CliError";
    this.exitCode = exitCode;
    this.code = code;
    this.hint = options.hint;
  }
}

/** A verb was asked in a way that it cannot be meant: nothing was done. `hint` says how to ask. */
export function usageError(message: string, hint?: string): CliError {
  return new CliError(exitCodes.usage, "usage", message, hint === undefined ? {} : { hint });
}

/** The same failure for people, for scripts and for the shell. */
export interface Failure {
  readonly exitCode: ExitCode;
  readonly lines: readonly string[];
  readonly body: ErrorBody & { readonly error: { readonly hint?: string } };
}

/** Anything thrown by a verb, ready to be shown. */
export function toFailure(thrown: unknown): Failure {
  if (thrown instanceof CliError) return fromCliError(thrown);
  if (thrown instanceof ConfigError) {
    return failure(exitCodes.usage, "config_invalid", thrown.message, "`nexus config explain KEY` describes a key.");
  }
  if (thrown instanceof NexusError) {
    return { exitCode: exitCodeOf(thrown), lines: [thrown.message], body: toErrorBody(thrown) };
  }
  if (thrown instanceof Error && thrown.name === "AbortError") {
    return failure(exitCodes.interrupted, "interrupted", "Interrupted.");
  }
  return failure(exitCodes.failed, "internal_error", describeError(thrown));
}

function fromCliError({ exitCode, code, message, hint }: CliError): Failure {
  return failure(exitCode, code, message, hint);
}

function failure(exitCode: ExitCode, code: string, message: string, hint?: string): Failure {
  const types: Readonly<Partial<Record<ExitCode, string>>> = {
    [exitCodes.usage]: "invalid_request_error",
    [exitCodes.denied]: "permission_error",
  };
  return {
    exitCode,
    lines: hint === undefined ? [message] : [message, hint],
    body: {
      error: {
        message,
        type: types[exitCode] ?? "server_error",
        param: null,
        code,
        ...(hint === undefined ? {} : { hint }),
      },
    },
  };
}

/** How a failure of this process's own rooms ends a verb. */
function exitCodeOf({ code, status }: NexusError): ExitCode {
  if (code === "invalid_request") return exitCodes.usage;
  // What a model's source does says nothing about the platform.
  return code === "model_source_unavailable" ? exitCodes.failed : exitCodeOfStatus(status);
}

/** How an HTTP answer ends a verb. */
export function exitCodeOfStatus(status: number): ExitCode {
  if (status === 401 || status === 403) return exitCodes.denied;
  return status === 503 ? exitCodes.notReady : exitCodes.failed;
}
