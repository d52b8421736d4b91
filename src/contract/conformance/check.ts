import type { z } from "zod";
import type { Model, ServiceMetadata } from "../metadata.ts";
import type { Operation } from "../operations.ts";
import { describeIssues } from "../parse.ts";
import type { DrainReport } from "./observe-drain.ts";
import type { Answer, Asking, Probe } from "./probe.ts";

/** How one check went. `reason` says what was seen; empty only for a plain pass. */
export interface Outcome {
  readonly status: "pass" | "fail" | "skip";
  readonly reason: string;
}

/** One line of the report. */
export interface CheckResult extends Outcome {
  readonly id: string;
  readonly title: string;
  readonly durationMs: number;
}

/** One rule of the contract and the way to see whether a service holds to it. */
export interface Check {
  /** Public and stable: reports, the specification and tests name it. */
  readonly id: string;
  readonly title: string;
  /** Costs tokens; only run when generating is allowed. */
  readonly generates?: boolean;
  /** Throws a `Verdict` through `fail` and `skip`, or what the probe throws, which is a failure. */
  run(target: Target): Promise<Outcome>;
}

/** The process of the service under test, where whoever checks may end it. */
export interface ServiceProcess {
  readonly pid: number;
  /** Resolves when the process is gone: with its exit code, or null when nobody can know it. */
  readonly ended: Promise<number | null>;
  /** Sends SIGTERM. */
  terminate(): void;
  /** What stands in its run file; undefined when it has written none, or was told of none. */
  readRunFile?(): Promise<string | undefined>;
}

/** The service under test. What several checks need is asked once. */
export interface Target {
  readonly probe: Probe;
  /** Whether tokens may be spent. */
  readonly mayGenerate: boolean;
  /** Undefined when the service is not whoever checks to end. */
  readonly process: ServiceProcess | undefined;
  /** What became of the service when it was told to end; asked by the last checks, as nothing is left after it. */
  drained(): Promise<DrainReport>;
  /** Skips the check when there is no valid metadata to go by: `metadata.schema` reports that. */
  metadata(): Promise<ServiceMetadata>;
  /** Skips the check when the service is not ready: it may refuse work then. */
  mustBeReady(): Promise<void>;
}

/** Ends a check from anywhere below it. */
export class Verdict extends Error {
  readonly outcome: Outcome;

  constructor(status: Outcome["status"], reason: string) {
    super(reason);
    this.name = "Verdict";
    this.outcome = { status, reason };
  }
}

export function pass(reason = ""): Outcome {
  return { status: "pass", reason };
}

export function fail(reason: string): never {
  throw new Verdict("fail", reason);
}

export function skip(reason: string): never {
  throw new Verdict("skip", reason);
}

/** Fails with every issue unless `value` has the shape. */
export function mustMatch<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const result = schema.safeParse(value);
  return result.success ? result.data : fail(`${what}: ${describeIssues(result.error)}`);
}

export function mustBeStatus(answer: Answer, status: number, what: string): void {
  if (answer.status !== status) fail(`${what} answered ${answer.status} instead of ${status}${shortly(answer.text)}`);
}

/** Asks and expects a JSON document with status 200. */
export async function askJson(target: Target, path: string, asking: Asking = {}): Promise<unknown> {
  const answer = await target.probe.ask(path, asking);
  mustBeStatus(answer, 200, `${asking.method ?? "GET"} ${path}`);
  return mustBeJson(answer, path);
}

export function mustBeJson(answer: Answer, what: string): unknown {
  const value = parseJson(answer.text);
  return value === undefined ? fail(`${what} answered something that is not JSON${shortly(answer.text)}`) : value;
}

/** The value, or undefined for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The beginning of a text, for a reason. */
export function shortly(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line === "" ? "" : `: ${line.length > 160 ? `${line.slice(0, 160)}...` : line}`;
}

/** Whether the service says that it serves the operation. */
export function serves(metadata: ServiceMetadata, operation: Operation): boolean {
  return metadata.endpoints.some((endpoint) => endpoint.operation_id === operation.id);
}

/** A model to try the operation with, a loaded one before one that would have to be loaded. */
export function modelFor(metadata: ServiceMetadata, operation: Operation): Model {
  const fitting = metadata.models.filter((model) => model.domains.some((domain) => operation.domains.includes(domain)));
  return (
    fitting.find((model) => model.state === "loaded") ??
    fitting.find((model) => model.state === "available") ??
    skip(`no model for ${operation.id} right now`)
  );
}
