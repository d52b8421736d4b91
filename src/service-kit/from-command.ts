import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { NexusError } from "../base/errors.ts";
import { findProgram } from "../base/find-program.ts";
import { parseOrThrow } from "../contract/parse.ts";
import type { ServiceDefinition } from "./service.ts";
import { badResult } from "./work/read-fields.ts";
import { type Program, runProgram } from "./work/run-program.ts";
import { type ServedWork, serveWork } from "./work/serve-work.ts";
import type { Work, WorkContext, WorkDomain } from "./work/work.ts";

const mebibyte = 1024 * 1024;

/** `command.yaml` */
export const commandSchema = z.strictObject({
  command: z.tuple([z.string().min(1)], z.string()).describe("The program and its arguments; no shell is between."),
  timeoutSeconds: z.number().positive().max(86_400).default(60).describe("What takes longer is ended."),
  outputBytesMax: z
    .int()
    .positive()
    .max(1024 * mebibyte)
    .default(64 * mebibyte)
    .describe("A program that prints more is ended."),
  concurrency: z.int().positive().max(1_024).default(2).describe("Programs that run at once; further requests wait."),
  environment: z.record(z.string(), z.string()).default({}).describe("Variables of the program."),
  passEnvironment: z.array(z.string()).default([]).describe("Names of the service's own variables that it gets too."),
});

/** A program that does the work, as `command.yaml` describes it. */
export interface Command {
  readonly program: Program;
  readonly concurrency: number;
}

/** What no program can do without. */
const usualVariables = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"];

/**
 * Reads `command.yaml`; the program runs in its folder. `variables` are the service's own, of which the program gets
 * `PATH`, `HOME`, `LANG`, `TZ`, `TMPDIR` and those that the file names.
 * @throws NexusError `invalid_request` that names the field at fault.
 */
export async function readCommand(
  file: URL,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<Command> {
  const { parse } = await import("yaml");
  const given = parseOrThrow(commandSchema, parse(await readFile(file, "utf8")), "invalid_request", "command.yaml");
  const passed = [...usualVariables, ...given.passEnvironment].flatMap((name) => {
    const value = variables[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const program: Program = {
    command: given.command,
    directory: dirname(fileURLToPath(file)),
    environment: { ...Object.fromEntries(passed), ...given.environment },
    timeoutMs: given.timeoutSeconds * 1000,
    outputBytesMax: given.outputBytesMax,
  };
  return { program, concurrency: given.concurrency };
}

/**
 * A service whose work is a program that runs once for each request: the work's request is JSON on its stdin, the work's
 * result what it prints. templates/README.md has the table of both by domain. Not ready while the program is not there.
 */
export function serveCommand(
  domain: WorkDomain,
  { program, concurrency }: Command,
): ServedWork & Pick<ServiceDefinition, "start"> {
  return {
    ...serveWork(domain, workOf(domain, program) as Work<typeof domain>, { concurrency }),
    start: async () => mustBeThere(program),
  };
}

type AnyWork = (request: unknown, context: WorkContext) => unknown;

function workOf(domain: WorkDomain, program: Program): AnyWork {
  const run = (request: unknown, context: WorkContext) => runProgram(program, toJson(request), context);
  if (domain === "chat") return (request, context) => decoded(run(request, context));
  if (domain === "speech" || domain === "music" || domain === "video") return run;
  if (domain === "image") return async (request, context) => await collect(run(request, context));
  return async (request, context) => fromJson(await collect(run(request, context)), domain);
}

/** Bytes become `{"base64": "..."}`. */
function toJson(request: unknown): string {
  const entries = Object.entries(request as object).map(([key, value]: [string, unknown]) => {
    const isBytes = value instanceof Uint8Array;
    return [key, isBytes ? { base64: Buffer.from(value).toString("base64") } : value];
  });
  return JSON.stringify(Object.fromEntries(entries));
}

function fromJson(printed: Buffer, domain: WorkDomain): unknown {
  const text = printed.toString("utf8");
  try {
    return JSON.parse(text);
  } catch {
    // A tool may say what it has to say in plain words.
    if (domain === "tool") return text.trimEnd();
    throw badResult("JSON on stdout");
  }
}

async function collect(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

async function* decoded(pieces: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const piece of pieces) yield decoder.decode(piece, { stream: true });
  const rest = decoder.decode();
  if (rest !== "") yield rest;
}

function mustBeThere({ command: [file], directory, environment }: Program): void {
  if (file === "node" || findProgram(file, { path: environment.PATH ?? "", directory }) !== undefined) return;
  throw new NexusError("not_ready", `The program ${file} is not there. Install it, or change command.yaml.`);
}
