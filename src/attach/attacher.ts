import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { isLoopbackHost } from "../config/loopback.ts";
import type { ResolveSecret } from "../config/secrets.ts";
import { nameSchema } from "../contract/metadata.ts";
import { parseOrThrow } from "../contract/parse.ts";
import { paidLabel } from "../contract/service-labels.ts";
import type { DialectName } from "../dialects/dialect.ts";
import { createProbeClient, type ProbeClient, ProbeFailure, type ProbeLimits } from "../dialects/probe.ts";
import { createDialects } from "../dialects/recognise-backend.ts";
import type { Registry } from "../registry/registry.ts";
import { Attachment, type AttachmentInfo, type AttachmentParts, type AttachmentSpec } from "./attachment.ts";
import { type AttachmentStore, createAttachmentStore } from "./attachment-store.ts";
import { type AttachEntry, attachEntrySchema, labelsOf } from "./config.ts";
import { type Look, lookAtServer, unreachable } from "./look-at-server.ts";
import { defaultLookPauses, type LookPauses } from "./look-pause.ts";
import { nameFor, normaliseTarget, serverIdentity } from "./target-url.ts";

export interface AttacherOptions {
  readonly registry: Registry;
  /** `attachments.json`. */
  readonly storePath: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly resolveSecret: ResolveSecret;
  /** Name of this machine in records. */
  readonly hostId: string;
  /** The configuration's `attach`: attached at start, never stored, never detached by a command. */
  readonly declared?: readonly AttachEntry[];
  /** Bounds of one look; see `defaultProbeLimits`. */
  readonly probeLimits?: ProbeLimits;
  /** See `defaultLookPauses`. */
  readonly pauses?: LookPauses;
  /** 0 to 1, spreads the looks. Default `Math.random`. */
  readonly random?: () => number;
}

/** What somebody asks to be attached. */
export interface AttachRequest {
  readonly url: string;
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** `env:NAME` or `file:/absolute/path`. */
  readonly keyFrom?: string;
  /** Whether it costs money. Default: as it was attached before, else not. */
  readonly paid?: boolean;
  /** When its turn is where no route says so; the lowest goes first. Default 0. */
  readonly tier?: number;
}

/** Attached servers at once. */
const attachmentsMax = 256;
/** A discovered server that has been away this long is forgotten. */
const discoveredMissingMsMax = 60_000;

/** Brings servers that know nothing of Nexus into its registry, and keeps them there. */
export interface Attacher {
  /** Takes up what the last process left and what the configuration declares. Does not wait for any server. */
  start(): void;
  /** Ends every look and takes the records away. The list on disk stays. */
  stop(): Promise<void>;
  /**
   * Recognises the server behind a URL and registers it, durably. A server that is attached already gets the new key,
   * tier and labels, and goes on costing money unless it is said that it does not; one that discovery found becomes the
   * operator's.
   * @throws NexusError `invalid_request`, `backend_unreachable`, `backend_unrecognised`, `conflict`.
   */
  attach(request: AttachRequest): Promise<AttachmentInfo>;
  /**
   * Takes a server out of the registry; the server itself is not touched.
   * @throws NexusError `not_found`; `conflict` for one of the configuration file.
   */
  detach(name: string): Promise<AttachmentInfo>;
  /**
   * Another `attach` of the configuration, complete: the returned function lets go what is not in it any more and
   * attaches what is new; what is in both is left alone. Whatever can be wrong is thrown before it is called.
   * @throws NexusError `invalid_request`.
   */
  prepareDeclared(entries: readonly AttachEntry[]): () => void;
  /** Lets go the discovered servers that are not wanted any more. */
  keepDiscovered(isWanted: (baseUrl: string) => boolean): void;
  /** In the order of their names. */
  list(): readonly AttachmentInfo[];
  /** Whether a server is attached or registered, or the operator does not want it found. */
  isKnown(baseUrl: string): boolean;
  /** Attaches a server for as long as it is there. Throws as `attach` does. */
  attachDiscovered(baseUrl: string): Promise<AttachmentInfo>;
}

export function createAttacher(options: AttacherOptions): Attacher {
  return new RunningAttacher(options);
}

class RunningAttacher implements Attacher {
  readonly #options: AttacherOptions;
  readonly #client: ProbeClient;
  readonly #parts: AttachmentParts;
  readonly #store: AttachmentStore;
  readonly #attachments = new Map<string, Attachment>();
  readonly #ignored = new Set<string>();
  #isStopped = false;

  constructor(options: AttacherOptions) {
    const { registry, storePath, clock, log, resolveSecret, hostId } = options;
    this.#options = options;
    this.#client = createProbeClient(options.probeLimits);
    this.#parts = {
      registry,
      clock,
      log,
      resolveSecret,
      hostId,
      client: this.#client,
      dialects: createDialects(),
      pauses: options.pauses ?? defaultLookPauses,
      random: options.random ?? Math.random,
      onLook: (attachment) => this.#looked(attachment),
    };
    this.#store = createAttachmentStore({ path: storePath, clock, log, state: () => this.#storedState() });
  }

  start(): void {
    const { attachments, ignored } = this.#store.load();
    for (const identity of ignored) this.#ignored.add(identity);
    for (const entry of this.#options.declared ?? []) this.#declare(toDeclared(entry)).start();
    for (const { name, url, labels, key_from, dialect, attached_at } of attachments) {
      // What the configuration declares now counts more than what was once attached by hand.
      if (this.#attachments.has(name) || this.#find(url) !== undefined) continue;
      const keyFrom = key_from ?? undefined;
      const spec = { name, baseUrl: url, labels, keyFrom, source: "operator", attachedAt: attached_at } as const;
      this.#add(spec, dialect ?? undefined).start();
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all([...this.#attachments.values()].map((attachment) => attachment.stop()));
    await this.#store.close();
    await this.#client.close();
  }

  async attach(request: AttachRequest): Promise<AttachmentInfo> {
    const entry = parseOrThrow(attachEntrySchema, request, "invalid_request", "The attachment");
    const baseUrl = normaliseTarget(entry.url);
    this.#checkFree(baseUrl, entry.name);
    const look = await this.#look(baseUrl, entry.keyFrom);
    // Looking takes time: somebody else may have been quicker.
    this.#checkFree(baseUrl, entry.name);
    const before = this.#find(baseUrl);
    const name = entry.name ?? before?.spec.name ?? this.#freeName(nameFor(look.dialect.name, baseUrl));
    // Nothing is to become free by a flag that was left out.
    const paid = request.paid ?? before?.spec.labels[paidLabel] === "true";
    const labels = labelsOf({ ...entry, paid });
    const spec = this.#spec({ name, baseUrl, source: "operator", labels, keyFrom: entry.keyFrom });
    this.#ignored.delete(serverIdentity(baseUrl));
    if (before !== undefined) this.#attachments.delete(before.spec.name);
    // The name is taken before anything is waited for; the record is free once the one before has left.
    const attachment = this.#add(spec);
    await before?.stop();
    attachment.start(look);
    await this.#store.save();
    return attachment.info();
  }

  async attachDiscovered(baseUrl: string): Promise<AttachmentInfo> {
    const look = await this.#look(baseUrl, undefined);
    this.#checkFree(baseUrl, undefined);
    if (this.isKnown(baseUrl)) throw conflict("The server was attached by hand in the meantime.");
    const name = this.#freeName(nameFor(look.dialect.name, baseUrl));
    const attachment = this.#add(this.#spec({ name, baseUrl, source: "discovery", labels: {}, keyFrom: undefined }));
    attachment.start(look);
    return attachment.info();
  }

  async detach(name: string): Promise<AttachmentInfo> {
    const attachment = this.#attachments.get(name);
    if (attachment === undefined) {
      throw new NexusError("not_found", `Nothing is attached under the name '${name}'. See \`nexus status\`.`);
    }
    const { source, baseUrl } = attachment.spec;
    if (source === "config") {
      throw new NexusError(
        "conflict",
        `'${name}' is attached by the configuration file: take it out of \`attach\` there.`,
      );
    }
    // Discovery would find it again in a moment.
    if (isLoopbackHost(new URL(baseUrl).hostname)) this.#ignored.add(serverIdentity(baseUrl));
    const info = attachment.info();
    this.#attachments.delete(name);
    await attachment.stop();
    await this.#store.save();
    return info;
  }

  prepareDeclared(entries: readonly AttachEntry[]): () => void {
    const wanted = entries.map(toDeclared);
    return () => {
      if (this.#isStopped) return;
      const present = new Set([...this.#attachments.values()].filter(({ spec }) => spec.source === "config"));
      const fresh = wanted.filter((each) => {
        const same = [...present].find(({ spec }) => isSame(each, spec));
        if (same !== undefined) present.delete(same);
        return same === undefined;
      });
      // Their servers may be the ones that the operator or discovery has attached: the configuration counts more.
      const servers = new Set(fresh.map(({ baseUrl }) => serverIdentity(baseUrl)));
      const others = [...this.#attachments.values()].filter(
        ({ spec }) => spec.source !== "config" && servers.has(serverIdentity(spec.baseUrl)),
      );
      const left = this.#letGo([...present, ...others]);
      const attachments = fresh.map((each) => this.#declare(each));
      // A record is free once whoever had it before has left.
      void left.then(() => {
        for (const attachment of attachments) attachment.start();
      });
      void this.#store.save();
    };
  }

  keepDiscovered(isWanted: (baseUrl: string) => boolean): void {
    const all = [...this.#attachments.values()];
    void this.#letGo(all.filter(({ spec }) => spec.source === "discovery" && !isWanted(spec.baseUrl)));
  }

  list(): readonly AttachmentInfo[] {
    return [...this.#attachments.values()]
      .map((attachment) => attachment.info())
      .sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  isKnown(baseUrl: string): boolean {
    const identity = serverIdentity(baseUrl);
    const isAttached = this.#find(baseUrl) !== undefined;
    return isAttached || this.#ignored.has(identity) || this.#registeredItself(identity) !== undefined;
  }

  async #look(baseUrl: string, keyFrom: string | undefined): Promise<Look> {
    const key = keyFrom === undefined ? undefined : await this.#options.resolveSecret(keyFrom);
    try {
      return await lookAtServer(this.#client.open(baseUrl, key), this.#parts.dialects);
    } catch (error) {
      throw error instanceof ProbeFailure ? unreachable(error, baseUrl) : error;
    }
  }

  #declare({ baseUrl, entry }: Declared): Attachment {
    const name = this.#freeName(entry.name ?? nameFor("server", baseUrl));
    return this.#add(this.#spec({ name, baseUrl, source: "config", labels: labelsOf(entry), keyFrom: entry.keyFrom }));
  }

  /** Their names are free at once; resolves when their records have left the registry. Never rejects. */
  async #letGo(attachments: readonly Attachment[]): Promise<void> {
    for (const { spec } of attachments) this.#attachments.delete(spec.name);
    const stops = await Promise.allSettled(attachments.map((attachment) => attachment.stop()));
    for (const stop of stops) {
      if (stop.status === "rejected")
        this.#options.log.error({ error: stop.reason }, "an attachment could not be ended");
    }
  }

  #find(baseUrl: string): Attachment | undefined {
    const identity = serverIdentity(baseUrl);
    return [...this.#attachments.values()].find(({ spec }) => serverIdentity(spec.baseUrl) === identity);
  }

  /** Throws when the server is spoken for, or the name is. */
  #checkFree(baseUrl: string, name: string | undefined): void {
    const before = this.#find(baseUrl);
    const taken = name === undefined ? undefined : this.#attachments.get(name);
    if (before?.spec.source === "config") {
      throw conflict(`That server is attached as '${before.spec.name}' by the configuration file.`);
    }
    if (before?.spec.source === "operator" && name !== undefined && name !== before.spec.name) {
      throw conflict(`That server is attached as '${before.spec.name}'. Detach it to give it another name.`);
    }
    if (taken !== undefined && taken !== before) {
      throw conflict(`'${name}' is the name of another attachment. Choose another one with --name.`);
    }
    if (before === undefined && this.#attachments.size >= attachmentsMax) {
      throw conflict(`${attachmentsMax} servers are attached, which is the limit. Detach one first.`);
    }
    const key = before === undefined ? this.#registeredItself(serverIdentity(baseUrl)) : undefined;
    if (key !== undefined) throw conflict(`That service has registered itself, as ${key}: there is nothing to attach.`);
  }

  /** The key of a service that registered itself; every other dialect is registered by an attacher, by this one or its ghost. */
  #registeredItself(identity: string): string | undefined {
    for (const [key, record] of this.#options.registry.current().instances) {
      if (record.dialect === "nexus" && serverIdentity(record.base_url) === identity) return key;
    }
    return undefined;
  }

  #freeName(wanted: string): string {
    let name = wanted;
    for (let copy = 2; this.#attachments.has(name); copy++) name = `${wanted}-${copy}`;
    return parseOrThrow(nameSchema, name, "invalid_request", "The name");
  }

  #spec(spec: Omit<AttachmentSpec, "attachedAt">): AttachmentSpec {
    return { ...spec, attachedAt: new Date(this.#options.clock.now()).toISOString() };
  }

  #add(spec: AttachmentSpec, last?: DialectName): Attachment {
    if (this.#isStopped) throw new NexusError("draining", "The platform is shutting down.");
    const attachment = new Attachment(spec, this.#parts, last);
    this.#attachments.set(spec.name, attachment);
    return attachment;
  }

  #looked(attachment: Attachment): void {
    const isLost = (attachment.missingMs ?? 0) >= discoveredMissingMsMax;
    if (attachment.spec.source !== "discovery" || !isLost) return;
    this.#options.log.info({ attachment: attachment.spec.name }, "discovered server is gone");
    this.#attachments.delete(attachment.spec.name);
    void attachment.stop();
  }

  #storedState() {
    const kept = [...this.#attachments.values()].filter(({ spec }) => spec.source === "operator");
    return {
      attachments: kept.map(({ spec, dialect }) => ({
        name: spec.name,
        url: spec.baseUrl,
        labels: spec.labels,
        key_from: spec.keyFrom ?? null,
        dialect: dialect ?? null,
        attached_at: spec.attachedAt,
      })),
      ignored: [...this.#ignored],
    };
  }
}

/** An entry of the configuration whose address has been read. */
interface Declared {
  readonly entry: AttachEntry;
  readonly baseUrl: string;
}

function toDeclared(entry: AttachEntry): Declared {
  return { entry, baseUrl: normaliseTarget(entry.url) };
}

function isSame({ entry, baseUrl }: Declared, spec: AttachmentSpec): boolean {
  return (
    spec.baseUrl === baseUrl &&
    spec.keyFrom === entry.keyFrom &&
    (entry.name === undefined || entry.name === spec.name) &&
    isDeepStrictEqual(spec.labels, labelsOf(entry))
  );
}

function conflict(message: string): NexusError {
  return new NexusError("conflict", message);
}
