/** An instance that could have served a request, in the order in which it would have been tried. */
export interface RecordedCandidate {
  readonly instance: string;
  /** The operation that it would be asked for, when that is another one than the client's. */
  readonly via?: string;
  readonly why: RecordedScore;
}

/** What decided a candidate's place. */
export interface RecordedScore {
  readonly tier: number;
  readonly weight: number;
  /** Features that the request needs and nobody is sure of. */
  readonly unknown_features: number;
  /** Whether the model was in memory: `loaded`, `available` or `loading`. */
  readonly state: string;
  /** What loading it takes, as learned, declared or guessed; absent when it is loaded. */
  readonly cold_start_ms?: number;
  /** For a slot, as estimated. */
  readonly wait_ms: number;
  readonly in_flight: number;
  /** Requests at once. */
  readonly limit: number;
  readonly penalty: number;
  /** All its slots were taken. */
  readonly full: boolean;
  /** (in_flight + 1) / limit x (1 + penalty) / weight: the least goes first. */
  readonly load: number;
  /** It was expected to have the request's beginning in its cache. */
  readonly affinity: boolean;
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
