import type { z } from "zod";
import type { Evidence } from "../contract/instance-record.ts";
import type { Model, modelSchema, ServiceMetadata } from "../contract/metadata.ts";
import type { OperationId } from "../contract/operations.ts";
import type { Probe } from "./probe.ts";

/** Kinds of servers that Nexus knows to describe. */
export const dialectNames = [
  "nexus",
  "llama-cpp",
  "localai",
  "lm-studio",
  "ollama",
  "vllm",
  "anthropic",
  "openai-compatible",
] as const;
export type DialectName = (typeof dialectNames)[number];

/** A model as a dialect states it; what has a default may be left out, further fields are kept. */
export type ModelInput = z.input<typeof modelSchema>;

/** How a feature is known. Without a time, so that the same description compares equal. */
export interface Finding {
  /** `declared` by the server's own description; `proven` and `refuted` need more than a description. */
  readonly grade: Evidence["grade"];
  readonly reason: string;
}

/** Model id, then feature. */
export type Findings = Readonly<Record<string, Readonly<Record<string, Finding>>>>;

/** What a server says about itself. */
export interface Description {
  /** What does the work: the server's own name, maker and version. */
  readonly backend: ServiceMetadata["backend"];
  readonly models: readonly Model[];
  /** Operations of the contract that it really offers. */
  readonly operations: readonly OperationId[];
  /** Requests that it works on at once; null when it does not tell. */
  readonly maxConcurrency: number | null;
  /** Answers 2xx when it can take requests; costs nothing and loads no model. */
  readonly readinessPath: string;
  /** Whether it takes requests now, or what it still waits for. */
  readonly state: "ready" | "starting";
  readonly stateReason: string;
  /** What is known of features beyond the models' own fields: which of its answers said so. */
  readonly findings: Findings;
  /** The metadata of a service that speaks the contract: used as it is, instead of the fields above. */
  readonly metadata?: ServiceMetadata;
}

/**
 * One kind of server: how to know it and how to read what it says. Neither generates, loads a model, takes a slot nor
 * costs money: both only read descriptions.
 */
export interface Dialect {
  readonly name: DialectName;
  /** @throws ProbeFailure when the server cannot be asked. */
  recognises(probe: Probe): Promise<boolean>;
  /**
   * Undefined when the server is not of this kind, or is not any more.
   * @throws ProbeFailure when the server cannot be asked.
   */
  describe(probe: Probe): Promise<Description | undefined>;
}
