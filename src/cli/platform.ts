import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { describeError } from "../base/errors.ts";
import { clientUrl } from "../config/client-url.ts";
import { locateData, said } from "../config/locate-data.ts";
import type { DataPaths } from "../config/paths.ts";
import type { PlatformStatus } from "../control/status.ts";
import { CliError, exitCodeOfStatus } from "./cli-error.ts";
import type { CliContext } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";
import { callHttp, type HttpCall, type HttpTarget, readText } from "./http-client.ts";

/** A running platform, as verbs talk to it. */
export interface Platform {
  /** In messages: `the platform in /home/me/.nexus` or its address. */
  readonly name: string;
  /** The data directory's paths, when it is on this machine. */
  readonly paths: DataPaths | undefined;
  /** One call of the control API; the answer's JSON. Failures are CliErrors that say what to do. */
  call<T>(call: HttpCall): Promise<T>;
  status(): Promise<PlatformStatus>;
  /** Where clients talk to the gateway, and with which key. */
  gateway(): Promise<HttpTarget>;
}

export interface PlatformFlags {
  readonly data?: string | undefined;
}

/** `--data`, else NEXUS_URL with NEXUS_API_KEY, else the data directory of this machine. Nothing is called yet. */
export function findPlatform(context: CliContext, flags: PlatformFlags): Platform {
  const url = said(context.environment.NEXUS_URL);
  return flags.data === undefined && url !== undefined
    ? remotePlatform(context, url)
    : localPlatform(context, locatePaths(context, flags));
}

/** The data directory that the flags and the environment name. */
export function locatePaths(context: CliContext, flags: PlatformFlags): DataPaths {
  return locateData({
    flags,
    environment: context.environment,
    workingDirectory: context.workingDirectory,
    homeDirectory: homedir(),
  });
}

function localPlatform(context: CliContext, paths: DataPaths): Platform {
  const target: HttpTarget = { socketPath: paths.controlSocket, baseUrl: "http://control" };
  const name = `the platform in ${paths.root}`;
  const call = <T>(request: HttpCall) =>
    callControl<T>(target, request, (error) => explainNoSocket(context, error, paths));
  const status = () => call<PlatformStatus>({ method: "GET", path: "/v1/nexus/status" });
  return {
    name,
    paths,
    call,
    status,
    async gateway() {
      const { address } = await status();
      if (address === null) {
        throw new CliError(exitCodes.notReady, "not_ready", "The gateway is not ready yet.", {
          hint: "`nexus status` says what it waits for.",
        });
      }
      return { baseUrl: clientUrl(address), key: (await ownKey(context, paths)) ?? undefined };
    },
  };
}

function remotePlatform(context: CliContext, text: string): Platform {
  const baseUrl = parsePlatformUrl(text);
  const target: HttpTarget = { baseUrl, key: keyFromEnvironment(context) };
  const call = <T>(request: HttpCall) => callControl<T>(target, request, (error) => explainNoGateway(error, baseUrl));
  return {
    name: `the platform at ${baseUrl}`,
    paths: undefined,
    call,
    status: () => call<PlatformStatus>({ method: "GET", path: "/v1/nexus/status" }),
    gateway: async () => target,
  };
}

/** NEXUS_URL, which may be written as an OpenAI base URL. Its credentials would end up in messages: refused. */
function parsePlatformUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "") {
    throw new CliError(
      exitCodes.usage,
      "invalid_url",
      "NEXUS_URL must be an http or https address without credentials.",
      {
        hint: "Such as NEXUS_URL=http://127.0.0.1:8800, with the key in NEXUS_API_KEY.",
      },
    );
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "").replace(/\/v1$/, "");
}

/** OPENAI_API_KEY counts only when it is a key of Nexus: somebody else's key is not sent around. */
function keyFromEnvironment({ environment }: CliContext): string | undefined {
  const other = said(environment.OPENAI_API_KEY);
  return said(environment.NEXUS_API_KEY) ?? (other?.startsWith("nxs_") === true ? other : undefined);
}

/** On the platform's own machine its owner needs no key at hand: `up` keeps one for the verbs. */
async function ownKey(context: CliContext, paths: DataPaths): Promise<string | undefined> {
  const given = keyFromEnvironment(context);
  if (given !== undefined) return given;
  try {
    return (await readFile(paths.operatorKey, "utf8")).trim();
  } catch {
    return undefined;
  }
}

async function callControl<T>(
  target: HttpTarget,
  call: HttpCall,
  explain: (error: unknown) => CliError | Promise<CliError>,
): Promise<T> {
  let status: number;
  let text: string;
  try {
    const answer = await callHttp(target, call);
    status = answer.status;
    text = await readText(answer.body);
  } catch (error) {
    if (call.signal?.aborted === true) throw call.signal.reason;
    throw await explain(error);
  }
  const value = text === "" ? undefined : parseAnswer(text);
  if (status >= 400) throw errorFromAnswer(status, value);
  return value as T;
}

/** The value of an answer. @throws CliError when something else than Nexus seems to have given it. */
export function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CliError(
      exitCodes.failed,
      "backend_error",
      "The answer is no JSON: something else than Nexus lives there.",
      {
        cause,
      },
    );
  }
}

/** An error in OpenAI's shape, with the exit status that belongs to it. */
export function errorFromAnswer(status: number, value: unknown): CliError {
  const { error } = (value ?? {}) as { error?: { message?: unknown; code?: unknown } };
  const message = typeof error?.message === "string" ? error.message : `The platform answered with status ${status}.`;
  const code = typeof error?.code === "string" ? error.code : "internal_error";
  const hints: Readonly<Record<number, string>> = {
    401: "Set NEXUS_API_KEY to a key of this platform; `nexus keys create` makes one.",
  };
  const hint = hints[status];
  return new CliError(exitCodeOfStatus(status), code, message, hint === undefined ? {} : { hint });
}

async function explainNoSocket(context: CliContext, error: unknown, paths: DataPaths): Promise<CliError> {
  const { code = "" } = error as NodeJS.ErrnoException;
  if (code === "EACCES" || code === "EPERM") {
    return new CliError(
      exitCodes.denied,
      "permission_denied",
      `The platform in ${paths.root} belongs to another user.`,
      {
        hint: "Use NEXUS_URL and NEXUS_API_KEY to reach it with a key.",
        cause: error,
      },
    );
  }
  if (code === "ENOENT" || code === "ECONNREFUSED" || code === "ENOTDIR") {
    return new CliError(exitCodes.notReady, "no_platform", `No platform is running in ${paths.root}.`, {
      hint: await hintForNone(context, paths),
      cause: error,
    });
  }
  return new CliError(
    exitCodes.notReady,
    "no_answer",
    `The platform in ${paths.root} does not answer: ${describeError(error)}.`,
    {
      hint: "`nexus logs` may say why.",
      cause: error,
    },
  );
}

/** A parent that was killed leaves processes that go on serving: that is worth knowing. */
async function hintForNone({ roles }: CliContext, paths: DataPaths): Promise<string> {
  const orphans = await roles.findOrphans(paths);
  return orphans.length === 0
    ? "Start it with `nexus up`, or name another with --data or NEXUS_URL."
    : `Its processes still run (${orphans.join(", ")}): \`nexus up\` takes them over, \`nexus down\` stops them.`;
}

function explainNoGateway(error: unknown, baseUrl: string): CliError {
  return new CliError(
    exitCodes.notReady,
    "no_platform",
    `No platform answers at ${baseUrl}: ${describeError(error)}.`,
    {
      hint: "Check NEXUS_URL, and that the platform runs.",
      cause: error,
    },
  );
}
