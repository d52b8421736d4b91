import type { KnownSpend, Take, Taken } from "../keys/limit-ledger.ts";
import type { LentUse } from "../keys/local-ledger.ts";

/** What a worker says of the limits of keys and tenants. */
export type LimitRequest =
  | { readonly kind: "take"; readonly id: number; readonly takes: readonly Take[] }
  | { readonly kind: "settle"; readonly receipt: number; readonly used: Readonly<Record<string, number>> }
  /** What became of what it was lent. */
  | { readonly kind: "use"; readonly uses: readonly LentUse[] }
  | { readonly kind: "spend"; readonly spend: readonly KnownSpend[] };

/** The answer to a `take`. */
export interface LimitReply {
  readonly kind: "taken";
  readonly id: number;
  readonly taken: Taken;
  /** In the order of the takes: so much more may be taken without asking. */
  readonly lent: readonly number[];
}
