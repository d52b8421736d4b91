import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import { LocalLedger } from "../keys/local-ledger.ts";
import { countedBy, type MetricSample, mergeSamples } from "../observability/metric-sample.ts";
import type { InstanceNews } from "../resilience/instance-news.ts";
import { Gather } from "./gather.ts";
import { LimitBroker, type LimitHolder } from "./limit-broker.ts";
import type { Question, ToPrimary } from "./messages.ts";
import { SlotBroker, type SlotHolder } from "./slot-broker.ts";
import type { Worker } from "./worker-pool.ts";

export interface PrimaryOptions {
  /** Those that run at present. */
  readonly workers: () => readonly Worker[];
  /** What the primary has to say for itself in the metrics. */
  readonly samples: () => readonly MetricSample[];
  readonly clock: Clock;
}

/** How often all are asked what they have counted, so that little of it is lost with one that is killed. */
const countMs = 5_000;
/** To check other settings; files of prices may have to be read. */
const prepareMs = 10_000;

interface Joined {
  readonly slots: SlotHolder;
  readonly limits: LimitHolder;
  /** What it works by. */
  settings: unknown;
}

/** What the workers share: it divides slots and limits, passes on news and questions, and adds up what was counted. */
export class Primary {
  readonly #options: PrimaryOptions;
  readonly #slots = new SlotBroker();
  readonly #limits: LimitBroker;
  readonly #holders = new Map<Worker, Joined>();
  readonly #questions: Gather<Worker>;
  readonly #preparations: Gather<Worker>;
  /** Instances that cannot take requests, as last heard, for workers to come. */
  readonly #unready = new Map<string, string>();
  readonly #counted = new Map<Worker, readonly MetricSample[]>();
  /** What workers had counted that have gone. */
  #retired: readonly MetricSample[] = [];
  #settings: unknown;
  #cancelCount: () => void;

  /** `settings` are what the first workers start with. */
  constructor(options: PrimaryOptions, settings: unknown) {
    this.#options = options;
    this.#settings = settings;
    this.#limits = new LimitBroker(new LocalLedger(options.clock));
    this.#questions = new Gather(options.clock);
    this.#preparations = new Gather(options.clock);
    this.#cancelCount = options.clock.after(countMs, () => this.#count());
  }

  /** A worker's process runs: starts it with the newest settings. */
  join(worker: Worker, workers: number): void {
    const { link, index } = worker;
    const settings = this.#settings;
    link.send({ topic: "start", order: { index, workers, settings } });
    const slots: SlotHolder = { send: (reply) => link.send({ topic: "slots", reply }) };
    const limits: LimitHolder = { send: (reply) => link.send({ topic: "limits", reply }) };
    this.#holders.set(worker, { slots, limits, settings });
    this.#slots.join(slots);
    this.#limits.join(limits);
    for (const [key, unready] of this.#unready) {
      link.send({ topic: "news", news: { kind: "readiness", key, unready } });
    }
  }

  leave(worker: Worker): void {
    const holders = this.#holders.get(worker);
    this.#holders.delete(worker);
    if (holders === undefined) return;
    this.#slots.leave(holders.slots);
    this.#limits.leave(holders.limits);
    this.#questions.leave(worker);
    this.#preparations.leave(worker);
    this.#retired = mergeSamples([this.#retired, countedBy(this.#counted.get(worker) ?? [])]);
    this.#counted.delete(worker);
    this.#divideFleet();
  }

  receive(worker: Worker, message: ToPrimary): void {
    const holders = this.#holders.get(worker);
    if (holders === undefined) return;
    if (message.topic === "slots") this.#slots.receive(holders.slots, message.request);
    else if (message.topic === "limits") this.#limits.receive(holders.limits, message.request);
    else if (message.topic === "news") this.#pass(worker, message.news);
    else if (message.topic === "ask") void this.#ask(worker, message);
    else if (message.topic === "answer") this.#questions.answer(worker, message.id, message.answer);
    else if (message.topic === "prepared") this.#preparations.answer(worker, message.id, message.problem);
    else if (message.topic === "ready") {
      this.#divideFleet();
      if (holders.settings !== this.#settings) void this.#bringUpToDate(worker);
    }
  }

  /**
   * Has every worker get ready for other settings; the returned function makes them hold in all of them, and in those
   * to come.
   * @throws NexusError `invalid_request` with what one of them objects to; nothing has changed then.
   */
  async prepare(settings: unknown): Promise<() => void> {
    const whom = this.#ready();
    const prepared = await this.#prepareIn(whom, settings);
    return () => {
      this.#settings = settings;
      this.#commit(whom, prepared);
    };
  }

  close(): void {
    this.#cancelCount();
  }

  async #prepareIn(whom: readonly Worker[], settings: unknown): Promise<ReadonlyMap<Worker, number>> {
    const prepared = new Map<Worker, number>();
    const ids = new Map<Worker, number>();
    const send = (worker: Worker, id: number) => {
      ids.set(worker, id);
      worker.link.send({ topic: "prepare", id, settings });
    };
    const answers = await this.#preparations.ask(whom, send, prepareMs);
    for (const [worker, problem] of answers) {
      if (problem !== undefined) throw new NexusError("invalid_request", String(problem));
      prepared.set(worker, ids.get(worker) ?? 0);
    }
    return prepared;
  }

  #commit(whom: readonly Worker[], prepared: ReadonlyMap<Worker, number>): void {
    for (const worker of whom) {
      const id = prepared.get(worker);
      const joined = this.#holders.get(worker);
      if (joined === undefined) continue;
      joined.settings = this.#settings;
      // One that did not answer is replaced by one that starts with these settings.
      worker.link.send(id === undefined ? { topic: "drain" } : { topic: "commit", id });
    }
  }

  /** It was started before the settings changed, and serves after. */
  async #bringUpToDate(worker: Worker): Promise<void> {
    const prepared = await this.#prepareIn([worker], this.#settings).catch(() => new Map<Worker, number>());
    this.#commit([worker], prepared);
  }

  #ready(): readonly Worker[] {
    return this.#options.workers().filter(({ isReady }) => isReady);
  }

  /** Every instance is probed by one worker. */
  #divideFleet(): void {
    const ready = this.#ready();
    for (const [at, { link }] of ready.entries()) link.send({ topic: "part", at, of: ready.length });
  }

  #pass(from: Worker, news: InstanceNews): void {
    if (news.kind === "readiness") {
      if (news.unready === undefined) this.#unready.delete(news.key);
      else this.#unready.set(news.key, news.unready);
    }
    for (const worker of this.#options.workers()) if (worker !== from) worker.link.send({ topic: "news", news });
  }

  async #ask(asker: Worker, { id, question }: Extract<ToPrimary, { topic: "ask" }>): Promise<void> {
    const others = this.#ready().filter((worker) => worker !== asker);
    if (question.about === "metrics") this.#counted.set(asker, question.own);
    const answers = await this.#questionTo(others, question);
    const result = question.about === "metrics" ? [this.#samplesBeside(asker)] : [...answers.values()];
    asker.link.send({ topic: "answers", id, answers: result });
  }

  async #questionTo(whom: readonly Worker[], question: Question): Promise<ReadonlyMap<Worker, unknown>> {
    const passed: Question = question.about === "metrics" ? { about: "metrics", own: [] } : question;
    const send = ({ link }: Worker, id: number) => link.send({ topic: "question", id, question: passed });
    const answers = await this.#questions.ask(whom, send);
    if (question.about !== "metrics") return answers;
    for (const [worker, samples] of answers) {
      if (this.#holders.has(worker)) this.#counted.set(worker, samples as readonly MetricSample[]);
    }
    return answers;
  }

  /** Of one that did not answer in time, what it said last: sums must not go down. */
  #samplesBeside(asker: Worker): readonly MetricSample[] {
    const others = [...this.#counted].filter(([worker]) => worker !== asker).map(([, samples]) => samples);
    return mergeSamples([...others, this.#retired, this.#options.samples()]);
  }

  #count(): void {
    void this.#questionTo(this.#ready(), { about: "metrics", own: [] }).then(() => {
      this.#cancelCount = this.#options.clock.after(countMs, () => this.#count());
    });
  }
}
