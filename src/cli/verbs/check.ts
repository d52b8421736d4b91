import { type CheckResult, runConformance } from "../../contract/conformance/run-conformance.ts";
import { CliError } from "../cli-error.ts";
import type { CliContext } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform } from "../platform.ts";
import { type Palette, printable, truncate } from "../terminal.ts";
import type { Verb } from "../verb.ts";

export interface CheckFlags extends DataFlag, JsonFlag {
  readonly generate?: boolean;
}

/** `nexus check URL`: a line for every rule as soon as it is known. */
export const check: Verb<CheckFlags, [url: string]> = async ({ context }, flags, url) => {
  const baseUrl = parseBaseUrl(url);
  const { terminal } = context;
  const results: CheckResult[] = [];
  const checks = runConformance({
    baseUrl,
    signal: context.interrupts.signal,
    generate: flags.generate !== false,
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
};

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
