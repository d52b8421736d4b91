import type { InstanceNews } from "../resilience/instance-news.ts";
import type { SlotLedger } from "../resilience/slot-ledger.ts";

/** Other processes that serve the same address and fleet, as one of them sees them. */
export interface Companions {
  /** Slots that all of them count together. `isDeclared`: whether an instance itself says how many requests it takes. */
  slots(isDeclared: (key: string) => boolean): SlotLedger;
  /** Whether this process is the one that probes an instance. */
  isMine(key: string): boolean;
  /** What the others should know. */
  tell(news: InstanceNews): void;
}
