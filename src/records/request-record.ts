/** An instance that could have served a request, in the order in which it would have been tried. */
export interface RecordedCandidate {
  readonly instance: string;
  /** The operation that it would be asked for, when that is another one than the client's. */
  readonly via?: string;
  /** What decided its place: tier, load and so on. */
  readonly why: Readonly<Record<string, unknown>>;
}

/** An instance that could not, and why. */
export interface RecordedRejection {
  readonly instance: string;
  readonly reason: string;
  readonly text: string;
}

/** One try of one instance. Milliseconds count from the request's arrival. */
export interface RecordedAttempt {
  readonly instance: string;
  /** `ok`, or the kind of its failure. */
  readonly outcome: string;
  readonly start_ms: number;
  readonly duration_ms: number;
}

/**
 * What is kept of one request: who asked for what, where it could have gone, where it went, and where the time went.
 * Never a prompt, an answer or a key.
 */
export interface RequestRecord {
  readonly id: string;
  readonly trace_id: string;
  /** RFC 3339, when the request arrived. */
  readonly at: string;
  /** The gateway that served it. */
  readonly gateway: string;
  readonly operation: string;
  readonly status: number;
  /** Code of the error that the client was told. */
  readonly code?: string;
  /** For the operator: what the client was not told. */
  readonly detail?: string;
  readonly key?: string;
  readonly tenant?: string;
  readonly model?: string;
  /** The model after the operator's aliases and routes. */
  readonly resolved_model?: string;
  readonly route?: string;
  readonly class?: string;
  readonly stream: boolean;
  readonly instance?: string;
  readonly candidates: readonly RecordedCandidate[];
  readonly rejected: readonly RecordedRejection[];
  /** Candidates and rejections beyond those that are listed. */
  readonly omitted: number;
  readonly attempts: readonly RecordedAttempt[];
  /** What happened on the way that is not an attempt: hedged, continued, queued. */
  readonly notes: readonly string[];
  /** Milliseconds from the arrival; absent where a stage was not reached. */
  readonly timings_ms: {
    /** The body was there. */
    readonly read?: number;
    /** Waited for a free slot: a duration. */
    readonly queue?: number;
    readonly first_byte?: number;
    readonly total: number;
  };
  readonly tokens?: { readonly prompt: number; readonly completion: number };
  /** Millionths of a dollar, where the model has a price. */
  readonly cost_microusd?: number;
  readonly bytes_in: number;
  readonly bytes_out: number;
}
