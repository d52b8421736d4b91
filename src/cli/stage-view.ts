import type { PlatformStatus, ProcessInfo } from "../control/status.ts";
import type { Terminal } from "./terminal.ts";
import { describeLoading } from "./verbs/status.ts";

/** Shows how a platform comes up. */
export interface StageView {
  update(status: PlatformStatus): void;
  close(): void;
}

const spinner = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/** On a terminal, one line a process that is drawn again and again; else a line for every step that was made. */
export function createStageView(terminal: Terminal): StageView {
  return terminal.isLive ? liveView(terminal) : plainView(terminal);
}

function liveView(terminal: Terminal): StageView {
  const area = terminal.live();
  let frame = 0;
  return {
    update({ processes }) {
      frame++;
      area.update(processes.map((process) => liveLine(process, frame, terminal)));
    },
    close: () => area.clear(),
  };
}

function liveLine(process: ProcessInfo, frame: number, { paintNote }: Terminal): string {
  const name = process.name.padEnd(10);
  const stage = stageOf(process);
  if (stage.kind === "ready") return `${paintNote("green", "✓")} ${name}${stage.text}`;
  if (stage.kind === "failed") return `${paintNote("red", "✗")} ${name}${stage.text}`;
  return `${paintNote("cyan", spinner[frame % spinner.length] ?? "")} ${name}${stage.text}`;
}

/** Progress in a log is worth a line every so often. */
const progressStep = 0.1;

function plainView(terminal: Terminal): StageView {
  const last = new Map<string, string>();
  return {
    update({ processes }) {
      for (const process of processes) {
        const stage = stageOf(process);
        const step = Math.floor((process.readiness?.progress ?? 0) / progressStep);
        const key = `${stage.kind} ${stage.kind === "busy" ? step : ""}`;
        if (last.get(process.name) === key) continue;
        last.set(process.name, key);
        terminal.note(`${process.name}: ${stage.text}`);
      }
    },
    close: () => {},
  };
}

function stageOf(process: ProcessInfo): { kind: "ready" | "failed" | "busy"; text: string } {
  if (process.state === "running" && process.ready !== false) {
    return {
      kind: "ready",
      text: `${process.adopted ? "running already" : "ready"}${process.url === null ? "" : `  ${process.url}`}`,
    };
  }
  const isFailed = process.state === "failed" || process.readiness?.state === "failed";
  if (isFailed || process.restarts > 0) return { kind: "failed", text: describeLoading(process) };
  return { kind: "busy", text: describeLoading(process) };
}
