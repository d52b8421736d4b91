/** Milliseconds between two looks at an attached server. */
export interface LookPauses {
  /** At a server that is well. Default 10 s. */
  readonly steadyMs: number;
  /** At one that starts, or was lost a moment ago. Default 1 s. */
  readonly hurriedMs: number;
}

export const defaultLookPauses: LookPauses = { steadyMs: 10_000, hurriedMs: 1_000 };

/** Looks in a row that fail before the pauses grow: a server that is restarted is back within these. */
const hurriedLooks = 10;

export interface LookOutcome {
  readonly isReady: boolean;
  /** Looks in a row that failed. */
  readonly failures: number;
}

/**
 * Pause before the next look: steady at a server that is well, hurried at one that starts or was just lost, then
 * doubling up to the steady pause. `random`, 0 to 1, spreads it over a fifth, so that many attachments do not look at
 * the same moment.
 */
export function lookPauseMs({ isReady, failures }: LookOutcome, pauses: LookPauses, random: number): number {
  const doublings = Math.min(16, Math.max(0, failures - hurriedLooks));
  const isWell = isReady && failures === 0;
  const pauseMs = isWell ? pauses.steadyMs : Math.min(pauses.steadyMs, pauses.hurriedMs * 2 ** doublings);
  return pauseMs * (0.9 + random / 5);
}
