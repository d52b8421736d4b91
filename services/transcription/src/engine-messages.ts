import type { ErrorCode } from "nexus/base";
import type { Segment } from "./whisper-library.ts";

/** What the service asks of its engine, a process of its own: one thing at a time. */
export type EngineJob =
  | { readonly kind: "load"; readonly path: string; readonly library: string | null }
  | ({ readonly kind: "transcribe"; readonly file: Uint8Array } & TranscribeJob);

/** How a file is to be heard. */
export interface TranscribeJob {
  readonly language: string | null;
  readonly isTranslation: boolean;
  readonly prompt: string | null;
  readonly temperature: number;
  readonly hasWordTimes: boolean;
  readonly threads: number;
  readonly secondsMax: number;
}

/** What it says to it. A job ends with `loaded`, `done` or `failed`. */
export type EngineMessage =
  | { readonly kind: "loaded"; readonly version: string; readonly isMultilingual: boolean }
  | { readonly kind: "decoded"; readonly seconds: number }
  | { readonly kind: "segments"; readonly segments: readonly Segment[] }
  | { readonly kind: "done"; readonly language: string }
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string; readonly param: string | null };
