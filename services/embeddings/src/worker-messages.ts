/** What the thread is started with. */
export interface WorkerStart {
  readonly path: string;
  readonly threads: number;
  readonly tokensMax: number;
}

/** What a model file turned out to be. */
export interface TextModelFacts {
  /** `vectors`: a text becomes a vector. `pairs`: a query and a document are read together and get a score. */
  readonly kind: "vectors" | "pairs";
  /** Length of a vector. */
  readonly dimensions: number;
  /** The longest input, tokens that mark its begin and end among them. */
  readonly tokensMax: number;
  /** What reads it, and its version: another may make slightly other numbers. */
  readonly runtime: string;
}

/** A text, or a query and a document that are read together. */
export type TextInput = string | readonly [query: string, document: string];

export type Question = { readonly id: number } & (
  | { readonly kind: "count"; readonly inputs: readonly TextInput[] }
  | { readonly kind: "read"; readonly input: TextInput }
  | { readonly kind: "close" }
);

/** `counts` in tokens; `numbers` are the vector, not of length 1, or the one score between 0 and 1. */
export type Reply =
  | { readonly kind: "opened"; readonly facts: TextModelFacts }
  | { readonly kind: "counts"; readonly id: number; readonly counts: readonly number[] }
  | { readonly kind: "numbers"; readonly id: number; readonly numbers: Float32Array }
  | { readonly kind: "closed"; readonly id: number }
  | { readonly kind: "failed"; readonly id: number; readonly reason: string };
