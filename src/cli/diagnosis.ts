/** How one check of `doctor` went. */
export interface Finding {
  readonly check: string;
  readonly status: "ok" | "warning" | "problem";
  /** What was seen. */
  readonly seen: string;
  /** What to do; empty when all is well. */
  readonly fix: string;
}

export function ok(check: string, seen: string): Finding {
  return { check, status: "ok", seen, fix: "" };
}

/** Nexus works without it, but less well. */
export function warning(check: string, seen: string, fix: string): Finding {
  return { check, status: "warning", seen, fix };
}

/** Nexus does not work like this. */
export function problem(check: string, seen: string, fix: string): Finding {
  return { check, status: "problem", seen, fix };
}
