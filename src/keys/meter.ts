import { defaultTenantId } from "./key-record.ts";
import type { KnownKey } from "./known-key.ts";
import type { LimitDecision, Limiter, LimitHeaders } from "./limiter.ts";
import type { PriceList } from "./price-list.ts";
import type { SpendWatch } from "./spend-watch.ts";
import type { UsedAmounts } from "./usage.ts";
import type { UsageRecorder } from "./usage-recorder.ts";

/** A request before it is sent. */
export interface MeteredRequest {
  /** Undefined without keys: nothing limits, and usage is counted all the same. */
  readonly key: KnownKey | undefined;
  readonly operation: string;
  /** A model that exists, by the name that was asked for. */
  readonly model: string;
  /** What it will use at most, as far as that can be told. */
  readonly estimate: UsedAmounts;
}

/** How a request ended. */
export interface MeteredEnd {
  /** Who served it, and as which model; undefined when nobody did: then nothing but the request is counted. */
  readonly served?: { readonly model: string; readonly service: string } | undefined;
  readonly used: UsedAmounts;
  readonly isError: boolean;
}

export type Metered =
  | {
      readonly ok: true;
      readonly headers: LimitHeaders;
      /** To be called once the request has ended, however it ended; a second call does nothing. Returns its cost. */
      finish(end: MeteredEnd): number;
    }
  | Extract<LimitDecision, { readonly ok: false }>;

/** Holds requests to their limits and counts what they use. */
export interface Meter {
  /** At once, except for a key's first request in a while when it has a budget. Never fails. */
  admit(request: MeteredRequest): Metered | Promise<Metered>;
}

export interface MeterOptions {
  readonly limiter: Limiter;
  readonly spend: SpendWatch;
  readonly recorder: UsageRecorder;
  readonly prices: () => PriceList;
}

/** Usage without keys is counted under this id. */
const noKeyId = "none";

export function createMeter(options: MeterOptions): Meter {
  const { limiter, spend, prices } = options;
  const admit = (request: MeteredRequest): Metered | Promise<Metered> => {
    const { key, estimate, model } = request;
    const tokens = tokensOf(estimate);
    const costMicroUsd = prices().costMicroUsdMax(model, estimate);
    const admission = limiter.admit(key?.scopes ?? [], { tokens, costMicroUsd });
    const toMetered = (result: LimitDecision) => (result.ok ? meter(request, result, options) : result);
    return admission instanceof Promise ? admission.then(toMetered) : toMetered(admission);
  };
  return {
    admit(request) {
      const learning = spend.touch(request.key?.scopes ?? []);
      return learning === undefined ? admit(request) : learning.then(() => admit(request));
    },
  };
}

function meter(
  { key, operation, model }: MeteredRequest,
  admission: Extract<LimitDecision, { readonly ok: true }>,
  { recorder, prices }: MeterOptions,
): Metered {
  let costMicroUsd: number | undefined;
  return {
    ok: true,
    headers: admission.headers,
    finish({ served, used, isError }) {
      if (costMicroUsd !== undefined) return costMicroUsd;
      costMicroUsd = served === undefined ? 0 : prices().costMicroUsd(served, used);
      // Both or neither: what is recorded is later taken out of what the ledger has settled.
      admission.settle({ tokens: tokensOf(used), costMicroUsd });
      recorder.record({
        ...used,
        keyId: key?.record.id ?? noKeyId,
        tenantId: key?.tenant.id ?? defaultTenantId,
        model,
        operation,
        costMicroUsd,
        isError,
      });
      return costMicroUsd;
    },
  };
}

function tokensOf({ promptTokens = 0, completionTokens = 0 }: UsedAmounts): number {
  return promptTokens + completionTokens;
}
