import { badField, countWords, type FakeAsked, type FakeReply, isObject, jsonReply } from "./fake-reply.ts";

const harms = ["harassment", "hate", "illicit", "self-harm", "sexual", "violence"] as const;

/** Flags what has the word "harm" in it. */
export function moderation({ fields }: FakeAsked): FakeReply {
  const { input, model } = fields;
  if (input === undefined) return badField("input", "is missing");
  const results = (Array.isArray(input) ? input : [input]).map((one: unknown) => {
    const flagged = /harm/i.test(JSON.stringify(one));
    const of = <Value>(value: (harm: string) => Value) => Object.fromEntries(harms.map((harm) => [harm, value(harm)]));
    return {
      flagged,
      categories: of((harm) => flagged && harm === "violence"),
      category_scores: of((harm) => (flagged && harm === "violence" ? 0.99 : 0.01)),
      category_applied_input_types: of(() => ["text"]),
    };
  });
  return jsonReply({ id: "modr-fake", model, results });
}

/** Scores a document by the share of the query's words that it has. */
export function rerank({ fields }: FakeAsked): FakeReply {
  const { query, documents, model, top_n: top } = fields;
  if (typeof query !== "string") return badField("query", "must be a text");
  if (!Array.isArray(documents) || documents.length === 0) return badField("documents", "must be a list");
  const wanted = query.toLowerCase().split(/\s+/);
  const results = documents.map((document: unknown, index) => {
    const text = isObject(document) ? String(document.text) : String(document);
    const shared = wanted.filter((word) => text.toLowerCase().includes(word)).length;
    return { index, relevance_score: shared / wanted.length, document: { text } };
  });
  results.sort((a, b) => b.relevance_score - a.relevance_score);
  const tokens = countWords([query, documents]);
  return jsonReply({
    id: "rerank-fake",
    model,
    results: results.slice(0, typeof top === "number" ? top : results.length),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  });
}

/** Reads the model's words on both pages of every document, and on a picture. */
export function ocr({ fields, words }: FakeAsked): FakeReply {
  const { document, model } = fields;
  const address = isObject(document) ? (document.document_url ?? document.image_url) : undefined;
  if (address === undefined) return badField("document", "must have a document_url or an image_url");
  const all = isObject(document) && document.document_url !== undefined ? [0, 1] : [0];
  const wanted = Array.isArray(fields.pages) ? fields.pages : all;
  const pages = wanted.map((index: unknown) => ({
    index,
    markdown: `# Page ${String(index)}\n\n${words.join("")}`,
    images: [],
    dimensions: { dpi: 200, height: 2_200, width: 1_700 },
  }));
  const usage = { pages_processed: pages.length, doc_size_bytes: JSON.stringify(address).length };
  return jsonReply({ pages, model, document_annotation: null, usage_info: usage });
}

/** Says its arguments back, as the Model Context Protocol writes results. */
export function toolCall({ fields }: FakeAsked): FakeReply {
  const { arguments: given = {} } = fields;
  if (!isObject(given)) return badField("arguments", "must be an object");
  return jsonReply({
    content: [{ type: "text", text: JSON.stringify(given) }],
    structuredContent: given,
    isError: false,
  });
}
