import type { Readiness, ReadinessCheck } from "../contract/health.ts";

type State = Readiness["state"];

/** Where a service stands between its start and its end. */
export interface ReadinessTracker {
  check(name: string, check: ReadinessCheck): void;
  progress(fraction: number, etaSeconds: number | null): void;
  /** `start` has returned. */
  started(): void;
  /** `start` has thrown. */
  failed(reason: string): void;
  /** The service shuts down; nothing leads back from here. */
  draining(): void;
  state(): State;
  /** What keeps the service from being ready, in words; empty when nothing does. */
  reason(): string;
  /** Seconds until it may be ready, when that is known. */
  etaSeconds(): number | null;
  report(): Readiness;
}

/** The check that stands for `start` itself. */
const startCheck = "start";

/** Calls `onChange` whenever the state or its reason is another, not for progress. */
export function createReadiness(onChange: () => void): ReadinessTracker {
  const checks = new Map<string, ReadinessCheck>([[startCheck, { status: "pending", reason: "starting" }]]);
  let progress: { fraction: number; etaSeconds: number | null } | undefined;
  let isDraining = false;

  const state = (): State => {
    if (isDraining) return "draining";
    const all = [...checks.values()];
    if (all.some((check) => check.status === "failed")) return "failed";
    return all.every((check) => check.status === "ok") ? "ready" : "starting";
  };
  const reason = (): string => {
    if (isDraining) return "shutting down";
    const rank = { failed: 0, pending: 1, ok: 2 };
    const [first] = [...checks].sort(([, one], [, other]) => rank[one.status] - rank[other.status]);
    return first === undefined || first[1].status === "ok" ? "" : `${first[0]}: ${first[1].reason ?? first[1].status}`;
  };
  const change = (apply: () => void): void => {
    const before = `${state()} ${reason()}`;
    apply();
    if (`${state()} ${reason()}` !== before) onChange();
  };

  return {
    check: (name, check) => change(() => checks.set(name, cut(check))),
    progress(fraction, etaSeconds) {
      progress = { fraction: Math.min(1, Math.max(0, fraction)), etaSeconds };
    },
    started: () => change(() => checks.set(startCheck, { status: "ok" })),
    failed: (why) => change(() => checks.set(startCheck, cut({ status: "failed", reason: why }))),
    draining() {
      change(() => {
        isDraining = true;
      });
    },
    state,
    reason,
    etaSeconds: () => (state() === "starting" ? (progress?.etaSeconds ?? null) : null),
    report() {
      const now = state();
      return {
        ready: now === "ready",
        state: now,
        checks: Object.fromEntries(checks),
        ...(now === "starting" && progress !== undefined
          ? { progress: progress.fraction, eta_seconds: progress.etaSeconds }
          : {}),
      };
    },
  };
}

/** A reason longer than the contract allows must not make the whole report invalid. */
function cut(check: ReadinessCheck): ReadinessCheck {
  return check.reason === undefined ? check : { ...check, reason: check.reason.slice(0, 1024) };
}
