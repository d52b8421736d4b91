import type { IncomingMessage } from "node:http";
import type { FormFile } from "../read-form.ts";
import type { WatchedBackend } from "../watch-backend.ts";

/** What a backend is asked to make. */
export interface JobOrder {
  readonly model: string;
  readonly prompt: string;
  /** How long it is to be; null leaves it to the backend. */
  readonly seconds: number | null;
  /** All fields of the request as they came, those above included. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly files: readonly FormFile[];
}

/** How a job stands. */
export interface JobState {
  readonly status: "queued" | "in_progress" | "completed" | "failed";
  /** 0 to 100. */
  readonly progress: number;
  /** For the client, when it has failed: never the backend's own words. */
  readonly problem?: string;
}

/** What was made. */
export interface JobContent {
  readonly contentType: string;
  /** To be read to its end, or destroyed. */
  readonly body: IncomingMessage;
}

export interface JobView {
  readonly models: readonly string[];
}

/** A server that makes films or music as jobs. `ref` is its own name of one. */
export interface JobBackend extends WatchedBackend<JobView> {
  readonly vendor: string;
  /** Begins, and resolves to the job's name. */
  create(order: JobOrder, signal: AbortSignal): Promise<string>;
  /** @returns undefined when it knows no such job (any more). */
  state(ref: string, signal: AbortSignal): Promise<JobState | undefined>;
  content(ref: string, query: URLSearchParams, signal: AbortSignal): Promise<JobContent>;
  /** Stops a job and lets go of what it has made. One that is gone already is no error. */
  remove(ref: string, signal: AbortSignal): Promise<void>;
  /** Begins a job that is made of another one. @throws NexusError `conflict` while that is not ready. */
  remix?(ref: string, order: JobOrder, signal: AbortSignal): Promise<string>;
}
