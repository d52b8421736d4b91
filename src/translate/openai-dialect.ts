import type { ClientDialect } from "./translation.ts";

/** OpenAI's own: errors are in its shape already. */
export const openaiDialect: ClientDialect = {
  id: "openai",
  framing: "sse",
  errorBody: (error) => error,
  errorEvent: (error) => ({ event: "error", data: JSON.stringify(error) }),
};
