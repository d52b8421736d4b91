import { clientUrl } from "../../config/client-url.ts";
import type { InstanceStatus, ModelStatus, PlatformStatus, Problem, ProcessInfo } from "../../control/status.ts";
import { exitCodes } from "../exit-codes.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform } from "../platform.ts";
import { type Cell, formatDuration, progressBar, type Terminal } from "../terminal.ts";
import type { Verb } from "../verb.ts";

/** `nexus status`. Its exit status says whether the platform takes requests. */
export const status: Verb<DataFlag & JsonFlag, []> = async ({ context }, flags) => {
  const found = await findPlatform(context, flags).status();
  return {
    json: found,
    text: renderStatus(found, context.terminal),
    exitCode: found.state === "ready" ? exitCodes.ok : exitCodes.notReady,
  };
};

/** The whole status for people. */
export function renderStatus(status: PlatformStatus, terminal: Terminal): string[] {
  const { paint } = terminal;
  const colour = status.state === "ready" ? "green" : "yellow";
  const address = status.address === null ? "no address yet" : clientUrl(status.address);
  return [
    `${paint("bold", `Nexus ${status.version}`)}  ${paint(colour, status.state)}  ${address}`,
    paint("dim", `up ${formatDuration(status.uptime_seconds)}, data in ${status.data_directory}`),
    ...section(terminal, ["PROCESS", "STATE", "PID", "UP", "ADDRESS"], status.processes.map(processRow)),
    ...section(terminal, ["INSTANCE", "BACKEND", "STATE", "ADDRESS", "MODELS"], status.instances.map(instanceRow)),
    ...section(terminal, ["MODEL", "FOR", "CONTEXT", "STATE", "INSTANCES"], status.models.map(modelRow)),
    ...renderProblems(status.problems, terminal),
  ];
}

function section(terminal: Terminal, header: readonly string[], rows: readonly (readonly Cell[])[]): string[] {
  return rows.length === 0 ? [] : ["", ...terminal.table(rows, header)];
}

function processRow(process: ProcessInfo): Cell[] {
  return [
    process.name,
    describeProcess(process),
    process.pid === null ? "-" : String(process.pid),
    process.uptime_seconds === null ? "-" : formatDuration(process.uptime_seconds),
    process.url ?? process.reason ?? "-",
  ];
}

/** `ready`, or what it does instead. */
export function describeProcess(process: ProcessInfo): Cell {
  if (process.state === "running" && process.ready !== false) return { text: "ready", style: "green" };
  if (process.state === "failed") return { text: "failed", style: "red" };
  if (process.state !== "running") return { text: process.state, style: "yellow" };
  const { readiness } = process;
  if (readiness?.state === "failed") return { text: "failed", style: "red" };
  if (readiness?.progress === undefined) return { text: "starting", style: "yellow" };
  return { text: `loading ${Math.round(readiness.progress * 100)} %`, style: "yellow" };
}

function instanceRow(instance: InstanceStatus): Cell[] {
  const [first = "-", ...others] = instance.models;
  return [
    instance.key,
    instance.backend,
    instance.drained
      ? { text: "drained", style: "yellow" }
      : { text: instance.state, style: instance.state === "ready" ? "green" : "yellow" },
    instance.base_url,
    others.length === 0 ? first : `${first} and ${others.length} more`,
  ];
}

function modelRow(model: ModelStatus): Cell[] {
  return [
    model.id,
    model.domains.join(", "),
    model.context_window === null ? "?" : String(model.context_window),
    model.state === "loaded" ? { text: "loaded", style: "green" } : model.state,
    model.instances.join(", "),
  ];
}

/** Each problem with what to do about it. */
export function renderProblems(problems: readonly Problem[], terminal: Terminal): string[] {
  if (problems.length === 0) return [];
  const { paint } = terminal;
  return [
    "",
    paint("yellow", problems.length === 1 ? "One thing needs you" : `${problems.length} things need you`),
    ...problems.flatMap(({ subject, message, fix }) => [`  ${paint("bold", subject)}: ${message}`, `    ${fix}`]),
  ];
}

/** One line of a process that is still loading: what it does, a bar, and how long it may take. */
export function describeLoading(process: ProcessInfo): string {
  const { readiness } = process;
  const waiting = Object.entries(readiness?.checks ?? {}).find(([, check]) => check.status !== "ok");
  const what = waiting?.[1].reason ?? waiting?.[0] ?? process.reason ?? "starting";
  if (readiness?.progress === undefined) return what;
  const eta = readiness.eta_seconds;
  return `${progressBar(readiness.progress)}  ${what}${eta === null || eta === undefined ? "" : `, ${formatDuration(eta)} left`}`;
}
