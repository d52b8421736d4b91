import type { MetricSample } from "../observability/metric-sample.ts";
import type { RecordFilter } from "../records/record-store.ts";
import type { InstanceNews } from "../resilience/instance-news.ts";
import type { LimitReply, LimitRequest } from "./limit-messages.ts";
import type { SlotReply, SlotRequest } from "./slot-messages.ts";

/** What one worker asks of all others. */
export type Question =
  /** Also says what the asker has counted: should it die, that is known. */
  | { readonly about: "metrics"; readonly own: readonly MetricSample[] }
  | { readonly about: "record"; readonly id: string }
  | { readonly about: "records"; readonly filter: RecordFilter; readonly limit: number };

/** What a worker is started with. `settings` are the role's; this room only hands them on. */
export interface StartOrder {
  readonly index: number;
  readonly workers: number;
  readonly settings: unknown;
}

/** From a worker to its primary. */
export type ToPrimary =
  | { readonly topic: "slots"; readonly request: SlotRequest }
  | { readonly topic: "limits"; readonly request: LimitRequest }
  | { readonly topic: "news"; readonly news: InstanceNews }
  | { readonly topic: "ask"; readonly id: number; readonly question: Question }
  | { readonly topic: "answer"; readonly id: number; readonly answer: unknown }
  /** It serves. */
  | { readonly topic: "ready" }
  | { readonly topic: "pong" }
  /** Undefined: the settings can be used. */
  | { readonly topic: "prepared"; readonly id: number; readonly problem: string | undefined };

/** From the primary to a worker. */
export type ToWorker =
  | { readonly topic: "start"; readonly order: StartOrder }
  | { readonly topic: "slots"; readonly reply: SlotReply }
  | { readonly topic: "limits"; readonly reply: LimitReply }
  | { readonly topic: "news"; readonly news: InstanceNews }
  | { readonly topic: "question"; readonly id: number; readonly question: Question }
  | { readonly topic: "answers"; readonly id: number; readonly answers: readonly unknown[] }
  /** Which part of the fleet it probes: every `of`-th instance. */
  | { readonly topic: "part"; readonly at: number; readonly of: number }
  | { readonly topic: "ping" }
  | { readonly topic: "prepare"; readonly id: number; readonly settings: unknown }
  /** What was prepared last holds from now on. */
  | { readonly topic: "commit"; readonly id: number }
  | { readonly topic: "drain" };
