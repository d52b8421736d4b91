import type { RecordedCandidate, RecordedRejection } from "./request-record.ts";

/** What would happen to a request if it were sent now. Nothing was sent. */
export interface DryRun {
  readonly operation: string;
  readonly model?: string;
  readonly resolved_model?: string;
  readonly route?: string;
  readonly stream: boolean;
  /** Features that an instance must have. */
  readonly needs: readonly string[];
  readonly candidates: readonly RecordedCandidate[];
  readonly rejected: readonly RecordedRejection[];
  readonly omitted: number;
  /** Why it would be refused; absent when it would be sent. */
  readonly refusal?: { readonly code: string; readonly message: string };
}
