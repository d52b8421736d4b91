import type { Selector } from "./selector.ts";

/** Deadlines of an attempt in milliseconds; what is absent is decided elsewhere. */
export interface Timeouts {
  readonly connectMs?: number | undefined;
  readonly firstTokenMs?: number | undefined;
  readonly stallMs?: number | undefined;
}

/** Who may serve a route, and how readily. */
export interface RouteCandidate {
  /** The model that is asked for instead; undefined: the one that the client named. */
  readonly model: string | undefined;
  readonly service: string | undefined;
  readonly where: Selector | undefined;
  readonly tier: number;
  readonly weight: number;
}

/** A rule of the operator's for the models of one name, ready for use. */
export interface CompiledRoute {
  /** The name or glob that it was written for. */
  readonly name: string;
  /** The first that fits an instance counts. */
  readonly candidates: readonly RouteCandidate[];
  readonly where: Selector | undefined;
  /** The only zones that a request may go to. */
  readonly residency: ReadonlySet<string> | undefined;
  readonly allowPaid: boolean;
  readonly prefixAffinity: boolean;
  /** How long a lower tier's queue may be before the next tier is used; undefined: any length. */
  readonly overflowAfterMs: number | undefined;
  readonly hedgeAfterMs: number | undefined;
  readonly continueStreams: boolean;
  readonly timeouts: Timeouts & { readonly operations: Readonly<Record<string, Timeouts>> };
}

/** The operator's routes. The first name that has one decides; an exact one before a glob, the longest glob first. */
export interface CompiledRoutes {
  readonly exact: ReadonlyMap<string, CompiledRoute>;
  readonly globs: readonly { readonly matches: (name: string) => boolean; readonly route: CompiledRoute }[];
}
