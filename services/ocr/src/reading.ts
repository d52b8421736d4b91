import type { ErrorCode } from "nexus/base";
import type { LanguageModel } from "./language-data.ts";
import type { OcrDocument } from "./ocr-request.ts";
import type { TextLine } from "./read-page.ts";

/** What a reading thread is told: to warm up for a language, or to read a document. */
export interface ReadJob {
  readonly model: LanguageModel;
  /** Undefined only loads the language. */
  readonly document: OcrDocument | undefined;
  readonly pagesMax: number;
  readonly pixelsMax: number;
}

/** One page of an answer. */
export interface ReadPage {
  /** From 0, in the document. */
  readonly index: number;
  readonly markdown: string;
  readonly lines: readonly TextLine[];
  readonly width: number;
  readonly height: number;
  readonly dpi: number;
}

/** What a reading thread says. The last of a job is `done` or `failed`. */
export type ReadMessage =
  | { readonly kind: "page"; readonly page: ReadPage }
  | { readonly kind: "done" }
  | {
      readonly kind: "failed";
      readonly code: ErrorCode;
      readonly message: string;
      readonly param: string | null;
      /** For the log. */
      readonly detail: string;
    };
