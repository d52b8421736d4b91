import type { Clock } from "../base/clock.ts";
import { describeError, NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { ResolveSecret } from "../config/secrets.ts";
import { type InstanceRecordInput, type InstanceState, instanceKey } from "../contract/instance-record.ts";
import type { Description, Dialect, DialectName } from "../dialects/dialect.ts";
import { type ProbeClient, ProbeFailure } from "../dialects/probe.ts";
import type { Registry } from "../registry/registry.ts";
import { type KeptRegistration, keepRegistered } from "../service-kit/keep-registered.ts";
import { buildRecord } from "./build-record.ts";
import { type Look, lookAtServer } from "./look-at-server.ts";
import { type LookPauses, lookPauseMs } from "./look-pause.ts";

/** Who wants a server attached: the operator, the configuration file, or nobody but discovery. */
export type AttachmentSource = "operator" | "config" | "discovery";

/** What somebody wants attached. */
export interface AttachmentSpec {
  readonly name: string;
  readonly baseUrl: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly keyFrom: string | undefined;
  readonly source: AttachmentSource;
  readonly attachedAt: string;
}

/** An attachment as its operator sees it. */
export interface AttachmentInfo {
  readonly name: string;
  readonly url: string;
  readonly source: AttachmentSource;
  /** Null until the server was seen for the first time. */
  readonly dialect: DialectName | null;
  /** Its key in the registry; null until then. */
  readonly instance: string | null;
  /** `connecting` until the server was seen for the first time. */
  readonly state: "connecting" | InstanceState;
  readonly state_reason: string;
  readonly models: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly key_from: string | null;
  readonly attached_at: string;
}

/** Looks in a row that get no answer before the server is called failed; a refused connection needs one. */
const silentLooksMax = 3;

export interface AttachmentParts {
  readonly registry: Registry;
  readonly client: ProbeClient;
  readonly dialects: readonly Dialect[];
  readonly resolveSecret: ResolveSecret;
  readonly hostId: string;
  readonly pauses: LookPauses;
  readonly clock: Clock;
  readonly log: Logger;
  /** 0 to 1. */
  readonly random: () => number;
  /** Called after every look, for whoever keeps the list. */
  readonly onLook: (attachment: Attachment) => void;
}

/**
 * One attached server: looked at again and again, and kept in the registry as it was seen last. A server that goes away stays
 * registered as `failed`, with the reason, and comes back by itself, as another kind of server if need be.
 */
export class Attachment {
  readonly spec: AttachmentSpec;
  readonly #parts: AttachmentParts;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #look: Look | undefined;
  #state: AttachmentInfo["state"] = "connecting";
  #reason = "";
  #describedAt = "";
  #failures = 0;
  #failingSince: number | undefined;
  #record: InstanceRecordInput | undefined;
  #recordText = "";
  #registration: KeptRegistration | undefined;
  /** Registrations under earlier keys, on their way out. */
  #leaving: Promise<void> = Promise.resolve();
  #cancelTimer = (): void => {};
  #looking: Promise<void> = Promise.resolve();

  constructor(spec: AttachmentSpec, parts: AttachmentParts, last?: DialectName) {
    this.spec = spec;
    this.#parts = parts;
    this.#log = parts.log.child({ attachment: spec.name });
    const dialect = parts.dialects.find(({ name }) => name === last);
    // What it was last time: it is registered from the start, so that everybody can see what is missing.
    if (dialect !== undefined) this.#look = { dialect, description: unseen(dialect.name) };
  }

  /** Begins to look; with `look`, from what was just seen. */
  start(look?: Look): void {
    if (this.#stopping.signal.aborted) return;
    if (look !== undefined) this.#seen(look);
    else if (this.#look !== undefined) this.#write("failed", "not seen since the platform started");
    this.#schedule(look === undefined ? 0 : this.#pauseMs());
  }

  /** Ends the looks and takes the record away. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancelTimer();
    await this.#looking;
    this.#leave();
    await this.#leaving;
  }

  /** Milliseconds since when no look has shown the server; undefined while it is there. */
  get missingMs(): number | undefined {
    return this.#failingSince === undefined ? undefined : this.#parts.clock.monotonic() - this.#failingSince;
  }

  get dialect(): DialectName | undefined {
    return this.#look?.dialect.name;
  }

  info(): AttachmentInfo {
    const { spec } = this;
    return {
      name: spec.name,
      url: spec.baseUrl,
      source: spec.source,
      dialect: this.dialect ?? null,
      instance: this.#record === undefined ? null : instanceKey(this.#record),
      state: this.#state,
      state_reason: this.#reason,
      models: this.#look?.description.models.map(({ id }) => id) ?? [],
      labels: spec.labels,
      key_from: spec.keyFrom ?? null,
      attached_at: spec.attachedAt,
    };
  }

  #schedule(delayMs: number): void {
    if (this.#stopping.signal.aborted) return;
    this.#cancelTimer = this.#parts.clock.after(delayMs, () => {
      this.#looking = this.#lookAgain();
    });
  }

  async #lookAgain(): Promise<void> {
    try {
      const { signal } = this.#stopping;
      const key = this.spec.keyFrom === undefined ? undefined : await this.#parts.resolveSecret(this.spec.keyFrom);
      const probe = this.#parts.client.open(this.spec.baseUrl, key, signal);
      this.#seen(await lookAtServer(probe, this.#parts.dialects, this.#look));
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#missed(error);
    }
    this.#schedule(this.#pauseMs());
    this.#parts.onLook(this);
  }

  #seen(look: Look): void {
    if (this.#look !== undefined && this.#look.dialect !== look.dialect) {
      this.#log.info({ before: this.#look.dialect.name, now: look.dialect.name }, "attached server changed its kind");
    }
    if (this.#describedAt === "" || this.#look?.dialect !== look.dialect) {
      this.#describedAt = new Date(this.#parts.clock.now()).toISOString();
    }
    this.#look = { dialect: look.dialect, description: withKnownModels(look.description, this.#look?.description) };
    this.#failures = 0;
    this.#failingSince = undefined;
    this.#write(look.description.state, look.description.stateReason);
  }

  #missed(error: unknown): void {
    this.#failures += 1;
    this.#failingSince ??= this.#parts.clock.monotonic();
    // One lost answer of a busy server is no reason to turn requests away: the gateway's own probes see more.
    const isSilent = error instanceof ProbeFailure && error.kind !== "refused";
    if (isSilent && this.#state === "ready" && this.#failures < silentLooksMax) return;
    const isTold = error instanceof ProbeFailure || error instanceof NexusError;
    this.#log.debug({ reason: describeError(error) }, "attached server cannot be looked at");
    this.#write("failed", isTold ? error.message : "cannot be looked at; the log says why");
  }

  #write(state: InstanceState, reason: string): void {
    if (this.#state !== state) {
      const fields = { url: this.spec.baseUrl, dialect: this.dialect, ...(reason === "" ? {} : { reason }) };
      this.#log[state === "failed" ? "warn" : "info"](fields, `attached server is ${state}`);
    }
    this.#state = this.#look === undefined ? "connecting" : state;
    this.#reason = reason;
    if (this.#look === undefined) return;
    const { dialect, description } = this.#look;
    this.#register(
      buildRecord({
        ...this.spec,
        describedAt: this.#describedAt || this.spec.attachedAt,
        hostId: this.#parts.hostId,
        dialect: dialect.name,
        description,
        state,
        stateReason: reason,
      }),
    );
  }

  /** Writes the record if it says something new; under another key it is another record. */
  #register(record: InstanceRecordInput): void {
    const text = JSON.stringify(record);
    if (text === this.#recordText) return;
    const isMoved = this.#record !== undefined && instanceKey(this.#record) !== instanceKey(record);
    this.#recordText = text;
    this.#record = record;
    if (isMoved) this.#leave();
    if (this.#registration !== undefined) {
      this.#registration.changed();
      return;
    }
    const { registry, clock } = this.#parts;
    this.#registration = keepRegistered({ registry, clock, log: this.#log, record: () => this.#record ?? record });
  }

  #leave(): void {
    const ended = this.#registration?.stop();
    this.#registration = undefined;
    this.#leaving = Promise.all([this.#leaving, ended]).then(() => {});
  }

  #pauseMs(): number {
    const outcome = { isReady: this.#state === "ready", failures: this.#failures };
    return lookPauseMs(outcome, this.#parts.pauses, this.#parts.random());
  }
}

/**
 * A server that loads lists nothing yet. What it had before it is about to have again, and whoever asks for it should
 * hear that it comes, not that nobody knows it.
 */
function withKnownModels(now: Description, before: Description | undefined): Description {
  if (now.state === "ready" || now.models.length > 0 || before === undefined) return now;
  const { models, operations, findings } = before;
  return { ...now, models: models.map((model) => ({ ...model, state: "loading" })), operations, findings };
}

/** Of a server that has not been seen yet by this process. */
function unseen(name: DialectName): Description {
  return {
    backend: { name, vendor: "", version: "" },
    models: [],
    operations: [],
    maxConcurrency: null,
    readinessPath: "/v1/models",
    state: "starting",
    stateReason: "",
    findings: {},
  };
}
