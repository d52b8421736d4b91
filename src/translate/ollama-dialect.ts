import type { ClientDialect } from "./translation.ts";

/** Ollama's native API: one JSON document a line, and errors that are a bare sentence. */
export const ollamaDialect: ClientDialect = {
  id: "ollama",
  framing: "ndjson",
  errorBody: ({ error }) => ({ error: error.message }),
  errorEvent: ({ error }) => ({ data: JSON.stringify({ error: error.message }) }),
};
