import { NexusError } from "../base/errors.ts";

/** How one try of one candidate went wrong, before its answer began. */
export type AttemptFailureKind =
  | "refused"
  | "connect_timeout"
  | "reset"
  | "first_token_timeout"
  | "status"
  | "unsendable";

const countsAgainstInstance: Readonly<Record<AttemptFailureKind, boolean>> = {
  refused: true,
  connect_timeout: true,
  reset: true,
  first_token_timeout: true,
  status: true,
  // Our own fault: a secret that cannot be read, say.
  unsendable: false,
};

/** A failed attempt: `error` is what the client is told when no other candidate does better. */
export class AttemptFailure extends Error {
  readonly kind: AttemptFailureKind;
  readonly error: NexusError;
  /** The answer's status, for `status`. */
  readonly status: number | undefined;

  constructor(kind: AttemptFailureKind, error: NexusError, status?: number) {
    super(error.detail ?? error.message, { cause: error });
    this.name = "AttemptFailure";
    this.kind = kind;
    this.error = error;
    this.status = status;
  }

  /** Whether it is evidence against the instance. Being busy is not, nor is doing other things: both say that it works. */
  get countsAgainstInstance(): boolean {
    return countsAgainstInstance[this.kind] && ![404, 429, 501].includes(this.status ?? 0);
  }
}

export function isAttemptFailure(thrown: unknown): thrown is AttemptFailure {
  return thrown instanceof AttemptFailure;
}

/**
 * The error for a client whose request had nowhere left to go. Marked, so that its own retries do not repeat what was
 * just done for it; except where the last instance was merely busy: then it is asked to come back.
 */
export function exhausted({ error, status }: AttemptFailure): NexusError {
  if (status === 429) return error;
  const { code, message, param, detail, cause, source, retryAfterSeconds } = error;
  return new NexusError(code, message, {
    cause,
    source,
    exhausted: true,
    ...(param === null ? {} : { param }),
    ...(detail === undefined ? {} : { detail }),
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  });
}

/** The client left: no attempt failed, and no further one is wanted. */
export function clientClosed(): NexusError {
  return new NexusError("client_closed", "The client closed the connection.");
}
