/** A `where` expression, ready for use. */
export interface Selector {
  readonly source: string;
}
