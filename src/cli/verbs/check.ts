import { type CheckResult, runConformance, type ServiceProcess } from "../../contract/conformance/run-conformance.ts";
import { CliError, usageError } from "../cli-error.ts";
import type { CliContext } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform } from "../platform.ts";
import { foreignService, startService } from "../started-service.ts";
import { type Palette, printable, truncate } from "../terminal.ts";
import type { Answer, Verb } from "../verb.ts";

export interface CheckFlags extends DataFlag, JsonFlag {
  readonly generate?: boolean;
  /** A command that starts the service, and ends with the check. */
  readonly start?: string;
  /** A service that runs already and may be ended. */
  readonly pid?: number;
}

/** `nexus check URL`: a line for every rule as soon as it is known. */
export const check: Verb<CheckFlags, [url?: string]> = async ({ context }, flags, url) => {
  if (flags.start !== undefined && flags.pid !== undefined) throw usageError("Give --start or --pid, not both.");
  if (flags.start === undefined) {
    if (url === undefined) throw usageError("Say where the service is, or how to start it: a URL, or --start.");
    const baseUrl = parseBaseUrl(url);
    return await checkAt(context, flags, baseUrl, flags.pid === undefined ? undefined : foreignService(flags.pid));
  }
  const started = await startService({
    command: flags.start,
    ...(url === undefined ? {} : { baseUrl: parseBaseUrl(url) }),
    environment: context.environment,
    signal: context.interrupts.signal,
  });
  try {
    return await checkAt(context, flags, started.baseUrl, started);
  } finally {
    await started.end();
  }
};

async function checkAt(
  context: CliContext,
  flags: CheckFlags,
  baseUrl: string,
  process: ServiceProcess | undefined,
): Promise<Answer> {
  const { terminal } = context;
  const results: CheckResult[] = [];
  const checks = runConformance({
    baseUrl,
    signal: context.interrupts.signal,
    generate: flags.generate !== false,
    ...(process === undefined ? {} : { process }),
    ...(await ownKey(context, flags, baseUrl)),
  });
  for await (const result of checks) {
    results.push(result);
    if (flags.json !== true) terminal.print(describeResult(result, terminal.paint));
  }
  const count = (status: CheckResult["status"]) => results.filter((result) => result.status === status).length;
  const failed = count("fail");
  const verdict = `${count("pass")} passed, ${failed} failed, ${count("skip")} skipped`;
  return {
    json: {
      url: baseUrl,
      ok: failed === 0,
      checks: results.map(({ durationMs, ...rest }) => ({ ...rest, duration_ms: durationMs })),
    },
    text: ["", terminal.paint(failed === 0 ? "green" : "red", verdict)],
    exitCode: failed === 0 ? exitCodes.ok : exitCodes.failed,
  };
}

/** The platform's own gateway asks for a key, and the verbs have one; nobody else is sent it. */
async function ownKey(context: CliContext, flags: CheckFlags, baseUrl: string): Promise<{ key?: string }> {
  const gateway = await findPlatform(context, flags)
    .gateway()
    .catch(() => undefined);
  return gateway?.key !== undefined && isSameOrigin(gateway.baseUrl, baseUrl) ? { key: gateway.key } : {};
}

function isSameOrigin(left: string, right: string): boolean {
  const [one, other] = [left, right].map((text) => new URL(text.replace("//localhost", "//127.0.0.1")).origin);
  return one === other;
}

function parseBaseUrl(text: string): string {
  if (URL.canParse(text) && /^https?:\/\//.test(text)) return text.replace(/\/+$/, "");
  throw new CliError(exitCodes.usage, "usage", `'${text}' is no http or https URL.`, {
    hint: "Such as http://127.0.0.1:8800",
  });
}

const marks = { pass: ["green", "✓"], fail: ["red", "✗"], skip: ["dim", "-"] } as const;

function describeResult({ status, title, reason }: CheckResult, paint: Palette): string {
  const [style, mark] = marks[status];
  const why = reason === "" ? "" : paint("dim", `  ${truncate(printable(reason), 300)}`);
  return `${paint(style, mark)} ${title}${why}`;
}
