import { isStreamed } from "./ollama-request.ts";
import { isGiven, type JsonObject, requiredModel } from "./request-fields.ts";
import type { TranslationContext } from "./translation.ts";

/** Operations whose requests may ask for nothing. */
export type OllamaAskingOperation = "ollama.chat" | "ollama.generate" | "ollama.embed";

/**
 * The answer to a request that only loads or unloads a model: Ollama's clients send one without messages, prompt or
 * input before they begin. Nothing is asked of a backend, as the fleet decides what is loaded; the caller has made sure
 * that there is such a model. Undefined for every other request.
 */
export function ollamaIdleAnswer(
  operation: OllamaAskingOperation,
  request: JsonObject,
  context: TranslationContext,
): { readonly document: object; readonly isStreamed: boolean } | undefined {
  if (!asksNothing(operation, request)) return undefined;
  const model = requiredModel(request);
  if (operation === "ollama.embed") return { document: { model, embeddings: [] }, isStreamed: false };
  const said = operation === "ollama.chat" ? { message: { role: "assistant", content: "" } } : { response: "" };
  const document = {
    model,
    created_at: new Date(context.nowSeconds * 1_000).toISOString(),
    ...said,
    done: true,
    done_reason: unloads(request.keep_alive) ? "unload" : "load",
  };
  return { document, isStreamed: isStreamed(request) };
}

function asksNothing(operation: OllamaAskingOperation, request: JsonObject): boolean {
  const isEmpty = (value: unknown) => !isGiven(value) || value === "" || (Array.isArray(value) && value.length === 0);
  if (operation === "ollama.chat") return isEmpty(request.messages);
  if (operation === "ollama.embed") return isEmpty(request.input);
  return isEmpty(request.prompt) && isEmpty(request.images) && isEmpty(request.suffix);
}

/** `0`, `"0"` and `"0s"`: at once. */
function unloads(keepAlive: unknown): boolean {
  return keepAlive === 0 || (typeof keepAlive === "string" && /^0+[a-zµ]*$/.test(keepAlive));
}
