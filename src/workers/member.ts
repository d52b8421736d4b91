import type { Clock } from "../base/clock.ts";
import { describeError } from "../base/errors.ts";
import { type MetricSample, mergeSamples } from "../observability/metric-sample.ts";
import type { RecordFilter } from "../records/record-store.ts";
import type { RequestRecord } from "../records/request-record.ts";
import type { InstanceNews } from "../resilience/instance-news.ts";
import type { SlotLedger } from "../resilience/slot-ledger.ts";
import { LeasedLimits } from "./leased-limits.ts";
import { LeasedSlots } from "./leased-slots.ts";
import type { Link } from "./link.ts";
import type { Question, StartOrder, ToPrimary, ToWorker } from "./messages.ts";

/** What others may ask of this worker, and what it is told. */
export interface MemberDuties {
  samples(): readonly MetricSample[];
  record(id: string): RequestRecord | undefined;
  records(filter: RecordFilter, limit: number): readonly RequestRecord[];
  news(news: InstanceNews): void;
  partChanged(): void;
  /** Gets ready for other settings. @throws when they cannot be used. */
  prepare(settings: unknown): Promise<() => void>;
}

/** The primary answers within half a second; it is not waited for much longer. */
const answerMs = 1_000;

/** A worker's end of what the workers share. */
export class Member {
  /** What to start with. */
  readonly started: Promise<StartOrder>;
  readonly limits: LeasedLimits;
  readonly #start = Promise.withResolvers<StartOrder>();
  readonly #slots: LeasedSlots;
  readonly #link: Link<ToPrimary, ToWorker>;
  readonly #clock: Clock;
  readonly #asked = new Map<number, (answers: readonly unknown[]) => void>();
  #isDeclared: (key: string) => boolean = () => true;
  #duties: MemberDuties | undefined;
  #lastId = 0;
  #part = { at: 0, of: 1 };
  /** What came before there was anybody to hear it. */
  #early: InstanceNews[] = [];
  #prepared: { readonly id: number; readonly commit: () => void } | undefined;

  /** `onDrain` is called when the primary says so, and when it has gone. */
  constructor(link: Link<ToPrimary, ToWorker>, clock: Clock, onDrain: () => void) {
    this.#link = link;
    this.#clock = clock;
    this.started = this.#start.promise;
    this.#slots = new LeasedSlots({
      send: (request) => link.send({ topic: "slots", request }),
      clock,
      isDeclared: (key) => this.#isDeclared(key),
    });
    this.limits = new LeasedLimits({ send: (request) => link.send({ topic: "limits", request }), clock });
    link.onMessage((message) => {
      if (message.topic === "drain") onDrain();
      else this.#receive(message);
    });
    link.onClose(() => {
      this.limits.close();
      this.#slots.close();
      onDrain();
    });
  }

  /** Slots of all workers together. `isDeclared`: whether an instance itself says how many requests it takes. */
  slots(isDeclared: (key: string) => boolean): SlotLedger {
    this.#isDeclared = isDeclared;
    return this.#slots;
  }

  /** Takes up its duties, and tells the primary that it serves. */
  serve(duties: MemberDuties): void {
    this.#duties = duties;
    for (const news of this.#early) duties.news(news);
    this.#early = [];
    this.#link.send({ topic: "ready" });
  }

  /** Whether this worker is the one that probes an instance. */
  isMine(key: string): boolean {
    return this.#part.of === 1 || hash(key) % this.#part.of === this.#part.at;
  }

  tell(news: InstanceNews): void {
    this.#link.send({ topic: "news", news });
  }

  /** Everybody's, this worker's own among them. */
  async samples(own: readonly MetricSample[]): Promise<readonly MetricSample[]> {
    const [others = []] = await this.#ask({ about: "metrics", own });
    return mergeSamples([own, others as readonly MetricSample[]]);
  }

  async record(id: string): Promise<readonly RequestRecord[]> {
    const answers = await this.#ask({ about: "record", id });
    return answers.flatMap((answer) => (answer as RequestRecord | null) ?? []);
  }

  async records(filter: RecordFilter, limit: number): Promise<readonly RequestRecord[]> {
    const answers = await this.#ask({ about: "records", filter, limit });
    return answers.flatMap((answer) => answer as readonly RequestRecord[]);
  }

  /** None when the primary does not answer. */
  async #ask(question: Question): Promise<readonly unknown[]> {
    const id = ++this.#lastId;
    const { promise, resolve } = Promise.withResolvers<readonly unknown[]>();
    this.#asked.set(id, resolve);
    this.#link.send({ topic: "ask", id, question });
    const cancel = this.#clock.after(answerMs, () => resolve([]));
    const answers = await promise;
    cancel();
    this.#asked.delete(id);
    return answers;
  }

  #receive(message: ToWorker): void {
    if (message.topic === "start") this.#start.resolve(message.order);
    else if (message.topic === "slots") this.#slots.receive(message.reply);
    else if (message.topic === "limits") this.limits.receive(message.reply);
    else if (message.topic === "ping") this.#link.send({ topic: "pong" });
    else if (message.topic === "answers") this.#asked.get(message.id)?.(message.answers);
    else if (message.topic === "question") this.#answer(message.id, message.question);
    else if (message.topic === "prepare") void this.#prepare(message.id, message.settings);
    else if (message.topic === "commit") this.#commit(message.id);
    else if (message.topic === "part") {
      this.#part = { at: message.at, of: message.of };
      this.#duties?.partChanged();
    } else if (message.topic === "news") {
      if (this.#duties === undefined) this.#early.push(message.news);
      else this.#duties.news(message.news);
    }
  }

  #answer(id: number, question: Question): void {
    const duties = this.#duties;
    if (duties === undefined) return;
    let answer: unknown;
    if (question.about === "metrics") answer = duties.samples();
    else if (question.about === "record") answer = duties.record(question.id) ?? null;
    else answer = duties.records(question.filter, question.limit);
    this.#link.send({ topic: "answer", id, answer });
  }

  async #prepare(id: number, settings: unknown): Promise<void> {
    let problem: string | undefined;
    try {
      const commit = await this.#duties?.prepare(settings);
      this.#prepared = commit && { id, commit };
    } catch (error) {
      problem = describeError(error);
    }
    this.#link.send({ topic: "prepared", id, problem });
  }

  #commit(id: number): void {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    if (prepared?.id === id) prepared.commit();
  }
}

/** FNV-1a. Every worker must come to the same. */
function hash(key: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) value = Math.imul(value ^ key.charCodeAt(at), 0x01000193);
  return value >>> 0;
}
