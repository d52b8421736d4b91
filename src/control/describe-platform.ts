import type { AttachmentInfo } from "../attach/attachment.ts";
import type { Readiness } from "../contract/health.ts";
import type { InstanceRecord } from "../contract/instance-record.ts";
import type { RegistrySnapshot } from "../registry/registry.ts";
import { indexModels, type Offer } from "../routing/model-index.ts";
import type { ProcessStatus } from "../supervisor/process-status.ts";
import type { InstanceStatus, ModelStatus, PlatformStatus, Problem, ProcessInfo } from "./status.ts";

/** All that the status is made of. */
export interface PlatformFacts {
  readonly version: string;
  readonly startedAt: number;
  readonly now: number;
  readonly dataDirectory: string;
  readonly configFile: string | undefined;
  readonly auth: PlatformStatus["auth"];
  readonly isStopping: boolean;
  readonly snapshot: RegistrySnapshot;
  readonly processes: readonly ProcessStatus[];
  /** The last answers to `/readyz`, by process. */
  readonly readiness: ReadonlyMap<string, Readiness>;
  readonly attachments: readonly AttachmentInfo[];
  /** What rooms themselves found wrong. */
  readonly problems: readonly Problem[];
}

/** The process whose address is the platform's. */
export const gatewayProcess = "gateway";

/** The built-in model service. */
export const modelProcess = "llm";

const otherModels = "`nexus models` lists models and adds others; `nexus attach URL` adds a server that has some.";

/** Puts everything that is known into the status. Pure. */
export function describePlatform(facts: PlatformFacts): PlatformStatus {
  const described = facts.processes.map((process) => describeProcess(process, facts));
  const gateway = described.find(({ name }) => name === gatewayProcess);
  // Where requests come in stands first.
  const processes = [...described].sort((a, b) => Number(b === gateway) - Number(a === gateway));
  const { snapshot } = facts;
  return {
    version: facts.version,
    state: facts.isStopping ? "stopping" : gateway?.ready === true ? "ready" : "starting",
    started_at: new Date(facts.startedAt).toISOString(),
    uptime_seconds: seconds(facts.now - facts.startedAt),
    data_directory: facts.dataDirectory,
    config_file: facts.configFile ?? null,
    address: addressOf(gateway),
    auth: facts.auth,
    processes,
    registry: { revision: snapshot.revision, stale: snapshot.stale, rejected: snapshot.rejected },
    instances: [...snapshot.instances].map(([key, record]) => describeInstance(key, record, snapshot)),
    attachments: facts.attachments,
    models: describeModels(snapshot),
    drained: snapshot.policy.drained,
    problems: [
      ...facts.problems,
      ...processes.flatMap(processProblems),
      ...facts.attachments.flatMap(attachmentProblems),
      ...snapshot.rejected.map(rejectedProblem),
    ],
  };
}

function seconds(milliseconds: number): number {
  return Math.max(0, Math.round(milliseconds / 1000));
}

function describeProcess(process: ProcessStatus, { now, readiness }: PlatformFacts): ProcessInfo {
  return {
    name: process.name,
    state: process.state,
    ready: process.isReady ?? null,
    pid: process.pid ?? null,
    url: process.url ?? null,
    adopted: process.isAdopted,
    restarts: process.restarts,
    uptime_seconds: process.startedAt === undefined ? null : seconds(now - process.startedAt),
    reason: process.reason ?? null,
    log_file: process.logFile ?? null,
    readiness: (process.isReady === true ? undefined : readiness.get(process.name)) ?? null,
  };
}

function addressOf(gateway: ProcessInfo | undefined): PlatformStatus["address"] {
  if (gateway?.url === null || gateway?.url === undefined) return null;
  const { hostname, port, protocol } = new URL(gateway.url);
  const host = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
  return { host, port: port === "" ? (protocol === "https:" ? 443 : 80) : Number(port) };
}

function describeInstance(key: string, record: InstanceRecord, { policy }: RegistrySnapshot): InstanceStatus {
  const names = { host: record.host, service: record.service, instance: key };
  const { name, version } = record.metadata.backend;
  return {
    key,
    service: record.service,
    instance: record.instance,
    host: record.host,
    base_url: record.base_url,
    dialect: record.dialect,
    backend: version === "" ? name : `${name} ${version}`,
    state: record.state,
    state_reason: record.state_reason,
    models: record.metadata.models.map((model) => model.id),
    labels: record.labels,
    drained: policy.drained.some((drain) => names[drain.kind] === drain.name),
  };
}

const stateRank = { loaded: 0, loading: 1, available: 2 } as const;

function describeModels(snapshot: RegistrySnapshot): ModelStatus[] {
  const byId = new Map<string, Offer[]>();
  for (const offers of indexModels(snapshot).offers.values()) {
    for (const offer of offers) {
      const known = byId.get(offer.model.id) ?? [];
      if (!known.some((other) => other.key === offer.key)) byId.set(offer.model.id, [...known, offer]);
    }
  }
  return [...byId].sort(([left], [right]) => (left < right ? -1 : 1)).map(([id, offers]) => describeModel(id, offers));
}

function describeModel(id: string, offers: readonly Offer[]): ModelStatus {
  const states = offers.map(({ model }) => model.state).sort((left, right) => stateRank[left] - stateRank[right]);
  const windows = offers.flatMap(({ model }) => model.context_window ?? []);
  return {
    id,
    domains: [...new Set(offers.flatMap(({ model }) => model.domains))],
    context_window: windows.length === 0 ? null : Math.max(...windows),
    state: states[0] ?? "available",
    instances: offers.map(({ key }) => key),
  };
}

function processProblems(process: ProcessInfo): Problem[] {
  const subject = process.name;
  const seeLog = `\`nexus logs ${subject}\` tells more.`;
  if (process.state === "failed") {
    return [
      {
        subject,
        message: `gave up: ${process.reason ?? "it fails again and again"}`,
        fix: `${seeLog} \`nexus down\` and \`nexus up\` try again.`,
      },
    ];
  }
  if (process.state === "backoff") {
    return [{ subject, message: `is started again soon: ${process.reason ?? "it ended"}`, fix: seeLog }];
  }
  const failed = Object.entries(process.readiness?.checks ?? {}).filter(([, check]) => check.status === "failed");
  const fix = subject === modelProcess ? `${otherModels} ${seeLog}` : seeLog;
  return failed.map(([name, check]) => ({ subject, message: check.reason ?? `${name} failed`, fix }));
}

function attachmentProblems({ name, url, state, state_reason: reason }: AttachmentInfo): Problem[] {
  if (state !== "failed" && !(state === "connecting" && reason !== "")) return [];
  return [
    {
      subject: name,
      message: `${url} does not serve: ${reason}`,
      fix: `Start the server, or forget it with \`nexus detach ${name}\`.`,
    },
  ];
}

function rejectedProblem({ key, reason }: RegistrySnapshot["rejected"][number]): Problem {
  return {
    subject: key,
    message: `its record is not valid and gets no requests: ${reason}`,
    fix: "`nexus check URL` shows what the service must mend.",
  };
}
