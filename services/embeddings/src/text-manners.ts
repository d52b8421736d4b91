/** What a text is to a search; models are trained on marks that tell them. */
export type TextRole = "query" | "document";

/** How a family of models wants its texts, as its makers say. */
export interface TextManners {
  readonly prefixes: Readonly<Record<TextRole, string>>;
  /** The mark for texts that are neither, such as sentences to be compared with each other. */
  readonly otherwise: string;
  /** The fewest dimensions that a vector can be shortened to; undefined when it was not trained for that. */
  readonly dimensionsMin?: number;
}

const plain: TextManners = { prefixes: { query: "", document: "" }, otherwise: "" };

/** By the beginning of the model's id. Sources: the models' own cards. */
const manners: readonly (readonly [RegExp, TextManners])[] = [
  [/(^|-)e5-/, { prefixes: { query: "query: ", document: "passage: " }, otherwise: "query: " }],
  [
    /^nomic-embed-text/,
    {
      prefixes: { query: "search_query: ", document: "search_document: " },
      otherwise: "search_document: ",
      dimensionsMin: 64,
    },
  ],
  [
    /^bge-.*-en/,
    { prefixes: { query: "Represent this sentence for searching relevant passages: ", document: "" }, otherwise: "" },
  ],
];

/** The manners of a model; plain ones when nothing is known about it. */
export function mannersOf(modelId: string): TextManners {
  return manners.find(([pattern]) => pattern.test(modelId))?.[1] ?? plain;
}

/** The text with the mark that its model wants. One that its client has put there stays the only one. */
export function marked(text: string, role: TextRole | undefined, { prefixes, otherwise }: TextManners): string {
  const known = [prefixes.query, prefixes.document, otherwise].filter((prefix) => prefix !== "");
  if (known.some((prefix) => text.startsWith(prefix))) return text;
  return `${role === undefined ? otherwise : prefixes[role]}${text}`;
}
