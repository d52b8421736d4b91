import { existsSync } from "node:fs";
import { join } from "node:path";
import { clientUrl } from "../config/client-url.ts";
import type { PlatformStatus } from "../control/status.ts";
import type { CliContext } from "./context.ts";
import type { Cell, Terminal } from "./terminal.ts";
import { describeProcess, renderProblems } from "./verbs/status.ts";

/** What `up` tells once everything has come up. */
export interface StartedSummary {
  readonly status: PlatformStatus;
  /** Made at this start, and shown only now. Null at later starts. */
  readonly first_key: string | null;
}

/** What runs where, which models there are, and how to use them. */
export function describeStarted(
  { status, first_key: firstKey }: StartedSummary,
  context: CliContext,
  { isDetached }: { readonly isDetached: boolean },
): string[] {
  const { terminal } = context;
  const { paint } = terminal;
  const url = status.address === null ? "" : clientUrl(status.address);
  return [
    `${paint("bold", `Nexus ${status.version}`)} is ${paint("green", "ready")} at ${paint("bold", url)}`,
    "",
    ...terminal.table(whatRuns(status)).map((line) => `  ${line}`),
    "",
    ...describeModels(status, terminal),
    ...renderProblems(status.problems, terminal),
    "",
    "To use it:",
    ...usage(url, firstKey, status).map((line) => (line === "" ? "" : `  ${line}`)),
    "",
    ...hints(context, status, { isFirst: firstKey !== null, isDetached }).map((line) => paint("dim", line)),
  ];
}

function whatRuns(status: PlatformStatus): Cell[][] {
  const own = status.processes.map((process): Cell[] => [process.name, describeProcess(process), process.url ?? "-"]);
  const ownUrls = new Set(status.processes.map(({ url }) => url));
  const found = status.instances
    .filter((instance) => !ownUrls.has(instance.base_url))
    .map((instance): Cell[] => [
      instance.key,
      { text: instance.state, style: instance.state === "ready" ? "green" : "yellow" },
      `${instance.base_url}  ${instance.backend}`,
    ]);
  return [...own, ...found];
}

function describeModels({ models, processes }: PlatformStatus, terminal: Terminal): string[] {
  if (models.length === 0) {
    const loading = processes.find(
      ({ name, ready, readiness }) => name !== "gateway" && ready !== true && readiness?.state !== "failed",
    );
    return loading === undefined
      ? ["No model yet. `nexus models` lists those that can be had; `nexus attach URL` adds a server."]
      : [`No model yet: ${loading.name} is still loading, and \`nexus status\` shows how far it is.`];
  }
  const shown = models
    .slice(0, 12)
    .map((model): Cell[] => [
      { text: model.id, style: "bold" },
      model.domains.join(", "),
      model.context_window === null ? "" : `${model.context_window} tokens`,
      model.instances.join(", "),
    ]);
  const more = models.length - shown.length;
  return [
    "Models:",
    ...terminal.table(shown).map((line) => `  ${line}`),
    ...(more > 0 ? [`  and ${more} more: \`nexus models\``] : []),
  ];
}

/** Lines that work when they are pasted, in this order. A key is only known at the start that made it. */
function usage(url: string, firstKey: string | null, status: PlatformStatus): string[] {
  const { auth } = status;
  const exportKey =
    firstKey !== null
      ? [`export OPENAI_API_KEY=${firstKey}   # shown this once`]
      : auth === "none"
        ? ["export OPENAI_API_KEY=none   # no key is asked for, but clients want one"]
        : ["# OPENAI_API_KEY: the key of the first start, or a new one"];
  const lines = [`export OPENAI_BASE_URL=${url}/v1`, ...exportKey];
  const model = preferredChatModel(status);
  if (model === undefined) return lines;
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "Say hello." }] });
  return [
    ...lines,
    "",
    `curl ${url}/v1/chat/completions \\`,
    ...(auth === "none" ? [] : [`  -H "Authorization: Bearer ${firstKey ?? "$OPENAI_API_KEY"}" \\`]),
    '  -H "Content-Type: application/json" \\',
    `  -d ${quote(body)}`,
  ];
}

/** A model that answers at once, else any that can chat. Never one that only costs money: no route may allow it. */
export function preferredChatModel({
  models,
  instances,
}: Pick<PlatformStatus, "models" | "instances">): string | undefined {
  const paid = new Set(instances.filter(({ labels }) => labels["nexus.paid"] === "true").map(({ key }) => key));
  const chat = models.filter(
    (model) => model.domains.includes("chat") && model.instances.some((key) => !paid.has(key)),
  );
  return (chat.find((model) => model.state === "loaded") ?? chat[0])?.id;
}

/** For a shell: nothing in it means anything to it. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function hints(
  context: CliContext,
  status: PlatformStatus,
  start: { isFirst: boolean; isDetached: boolean },
): string[] {
  const nexus = existsSync(join(context.workingDirectory, "nexus")) ? "./nexus" : "nexus";
  const asksKey = status.auth === "keys" && !start.isFirst;
  return [
    ...(asksKey ? [`A key was made at an earlier start; \`${nexus} keys create NAME\` makes another.`] : []),
    `${nexus} chat · ${nexus} status · ${nexus} logs -f · ${start.isDetached ? `${nexus} down` : "Ctrl-C"} stops`,
  ];
}
