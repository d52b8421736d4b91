import type { AttachmentInfo } from "../attach/attachment.ts";
import type { InstanceState, Model, Policy, Readiness } from "../contract/index.ts";

/** A process that the platform runs on this host. */
export interface ProcessInfo {
  readonly name: string;
  readonly state: "stopped" | "starting" | "running" | "stopping" | "backoff" | "failed";
  /** Whether it takes work; null when it can't tell. */
  readonly ready: boolean | null;
  readonly pid: number | null;
  /** Where it listens. */
  readonly url: string | null;
  /** Survived an earlier parent and was taken over. */
  readonly adopted: boolean;
  /** After faults, within the window of the restart limit. */
  readonly restarts: number;
  /** Null while it does not run. */
  readonly uptime_seconds: number | null;
  /** Its last fault; null when there was none. */
  readonly reason: string | null;
  readonly log_file: string | null;
  /** What it still waits for, as its `/readyz` says; null when it is ready or does not answer. */
  readonly readiness: Readiness | null;
}

export interface InstanceStatus {
  readonly key: string;
  readonly service: string;
  readonly instance: string;
  readonly host: string;
  readonly base_url: string;
  readonly dialect: string;
  readonly backend: string;
  readonly state: InstanceState;
  readonly state_reason: string;
  readonly models: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly drained: boolean;
}

export interface ModelStatus {
  readonly id: string;
  readonly domains: Model["domains"];
  readonly context_window: number | null;
  readonly state: Model["state"];
  /** Keys of the instances that serve it. */
  readonly instances: readonly string[];
}

/** Something that needs the operator. */
export interface Problem {
  /** The process, instance, record or setting. */
  readonly subject: string;
  readonly message: string;
  /** What to do about it. */
  readonly fix: string;
}

/** `GET /v1/nexus/status`: what runs where, and what is wrong. */
export interface PlatformStatus {
  readonly version: string;
  readonly state: "starting" | "ready" | "stopping";
  readonly started_at: string;
  readonly uptime_seconds: number;
  readonly data_directory: string;
  readonly config_file: string | null;
  /** Where clients reach the gateway; null until it listens. */
  readonly address: { readonly host: string; readonly port: number } | null;
  /** Whether clients need a key. */
  readonly auth: "keys" | "none";
  readonly processes: readonly ProcessInfo[];
  readonly registry: {
    readonly revision: number;
    readonly stale: boolean;
    readonly rejected: readonly { readonly key: string; readonly reason: string }[];
  };
  readonly instances: readonly InstanceStatus[];
  readonly attachments: readonly AttachmentInfo[];
  readonly models: readonly ModelStatus[];
  readonly drained: Policy["drained"];
  readonly problems: readonly Problem[];
}
