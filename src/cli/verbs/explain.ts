import { readFile } from "node:fs/promises";
import type { DryRun } from "../../records/dry-run.ts";
import type { RequestRecord } from "../../records/request-record.ts";
import { CliError } from "../cli-error.ts";
import type { CliContext } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { describeDryRun, describeRecord, describeRecords } from "../explain-view.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { callHttp, type HttpCall, readText } from "../http-client.ts";
import { errorFromAnswer, findPlatform, parseAnswer } from "../platform.ts";
import type { Answer, Verb } from "../verb.ts";

export interface ExplainFlags extends DataFlag, JsonFlag {
  readonly dryRun?: boolean;
  readonly operation?: string;
  readonly body?: string;
  readonly failed?: boolean;
  readonly lines: number;
}

/** `nexus explain [ID]`: where a request went and why; `--dry-run MODEL`: where one would go. */
export const explain: Verb<ExplainFlags, [subject?: string]> = async ({ context }, flags, subject) => {
  if (flags.dryRun === true) return explainDryRun(context, flags, subject);
  if (subject === undefined) return listRequests(context, flags);
  const record = await ask<RequestRecord>(context, flags, {
    method: "GET",
    path: `/v1/nexus/requests/${encodeURIComponent(subject)}`,
  });
  return { json: record, text: describeRecord(record, context.terminal) };
};

async function listRequests(context: CliContext, flags: ExplainFlags): Promise<Answer> {
  const query = new URLSearchParams({
    limit: String(flags.lines),
    ...(flags.failed === true ? { failed: "true" } : {}),
  });
  const { data } = await ask<{ data: readonly RequestRecord[] }>(context, flags, {
    method: "GET",
    path: `/v1/nexus/requests?${query}`,
  });
  return { json: { data }, text: describeRecords(data, context.terminal) };
}

async function explainDryRun(context: CliContext, flags: ExplainFlags, model: string | undefined): Promise<Answer> {
  const body = await readRequest(flags.body);
  if (model === undefined && body === undefined) {
    throw new CliError(exitCodes.usage, "usage", "--dry-run needs a model or --body FILE.", {
      hint: "Such as `nexus explain --dry-run gpt-4o-mini`.",
    });
  }
  const run = await ask<DryRun>(context, flags, {
    method: "POST",
    path: "/v1/nexus/explain",
    body: {
      ...(flags.operation === undefined ? {} : { operation: flags.operation }),
      request: { ...body, ...(model === undefined ? {} : { model }) },
    },
  });
  return {
    json: run,
    text: describeDryRun(run, context.terminal),
    exitCode: run.refusal === undefined ? exitCodes.ok : exitCodes.failed,
  };
}

async function readRequest(path: string | undefined): Promise<Record<string, unknown> | undefined> {
  if (path === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(await readFile(path, "utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (cause) {
    throw new CliError(exitCodes.usage, "usage", `${path} cannot be read as a JSON request.`, { cause });
  }
  throw new CliError(exitCodes.usage, "usage", `${path} holds no JSON object.`);
}

/** One question to the gateway: it alone knows what it did. */
async function ask<T>(context: CliContext, flags: ExplainFlags, call: HttpCall): Promise<T> {
  const platform = findPlatform(context, flags);
  const answer = await callHttp(await platform.gateway(), { ...call, signal: context.interrupts.signal });
  const value = parseAnswer(await readText(answer.body));
  if (answer.status >= 400) throw errorFromAnswer(answer.status, value);
  return value as T;
}
