import { describeError } from "../../base/errors.ts";
import { readinessSchema } from "../health.ts";
import { metadataSchema, type ServiceMetadata } from "../metadata.ts";

export type { CheckResult, ServiceProcess } from "./check.ts";

import {
  type Check,
  type CheckResult,
  type Outcome,
  parseJson,
  type ServiceProcess,
  skip,
  type Target,
  Verdict,
} from "./check.ts";
import { featureChecks } from "./feature-checks.ts";
import { httpChecks } from "./http-checks.ts";
import { mediaChecks } from "./media-checks.ts";
import { type DrainReport, observeDrain } from "./observe-drain.ts";
import { operationChecks } from "./operation-checks.ts";
import { createProbe, type ProbeOptions } from "./probe.ts";
import { processChecks } from "./process-checks.ts";
import { realtimeChecks } from "./realtime-checks.ts";
import { selfDescriptionChecks } from "./self-description-checks.ts";
import { streamChecks } from "./stream-checks.ts";
import { textChecks } from "./text-checks.ts";
import { workChecks } from "./work-checks.ts";

/** Every rule of the contract that can be seen from outside, in the order in which it is checked. */
export const conformanceChecks: readonly Check[] = [
  ...selfDescriptionChecks,
  ...httpChecks,
  ...operationChecks,
  ...featureChecks,
  ...streamChecks,
  ...workChecks,
  ...textChecks,
  ...mediaChecks,
  ...realtimeChecks,
  ...processChecks,
];

export interface ConformanceOptions extends ProbeOptions {
  /** Whether checks that generate may run; the others cost nothing. Default true. */
  readonly generate?: boolean;
  /** The service's process, when it may be ended: the last checks send it SIGTERM. */
  readonly process?: ServiceProcess;
}

/**
 * Checks the service under `baseUrl` against the contract, one rule after the other, and yields each result as it is
 * known. Never throws for what the service does; an aborted `signal` ends it with the signal's reason.
 */
export async function* runConformance(options: ConformanceOptions): AsyncIterable<CheckResult> {
  const target = createTarget(options);
  for (const check of conformanceChecks) {
    options.signal.throwIfAborted();
    const since = performance.now();
    const isAllowed = options.generate !== false || check.generates !== true;
    const outcome = isAllowed ? await outcomeOf(check, target) : notGenerating;
    options.signal.throwIfAborted();
    yield { id: check.id, title: check.title, ...outcome, durationMs: Math.round(performance.now() - since) };
  }
}

const notGenerating: Outcome = { status: "skip", reason: "would generate" };

async function outcomeOf(check: Check, target: Target): Promise<Outcome> {
  try {
    return await check.run(target);
  } catch (error) {
    if (error instanceof Verdict) return error.outcome;
    return { status: "fail", reason: describeError(error) };
  }
}

function createTarget(options: ConformanceOptions): Target {
  const probe = createProbe(options);
  let metadata: Promise<ServiceMetadata | undefined> | undefined;
  const read = async (): Promise<ServiceMetadata | undefined> => {
    const answer = await probe.ask("/v1/metadata").catch(() => undefined);
    return metadataSchema.safeParse(parseJson(answer?.text ?? "")).data;
  };
  let drained: Promise<DrainReport> | undefined;
  const mayGenerate = options.generate !== false;
  const target: Target = {
    probe,
    mayGenerate,
    process: options.process,
    async drained() {
      const process = options.process ?? skip("its process is not for the check to end");
      drained ??= observeDrain(target, process);
      return await drained;
    },
    async metadata() {
      metadata ??= read();
      return (await metadata) ?? skip("there is no valid metadata to go by");
    },
    async mustBeReady() {
      const { status, text } = await probe.ask("/readyz");
      if (status === 200) return;
      const report = readinessSchema.safeParse(parseJson(text)).data;
      skip(`the service is not ready${report === undefined ? "" : ` (${report.state})`}`);
    },
  };
  return target;
}
