import { toOllamaTranslation } from "./ollama-answer.ts";
import { toChatMessages } from "./ollama-messages.ts";
import { chatFields, commonFields } from "./ollama-request.ts";
import { optionalList } from "./request-fields.ts";
import type { Translator } from "./translation.ts";

/**
 * Ollama's `POST /api/chat` out of chat completions. Source: Ollama's docs/api.md and api/types.go. `keep_alive` and
 * options about how a model is loaded are ignored: loading is the fleet's affair.
 */
export const ollamaChatToChat: Translator = {
  from: "ollama.chat",
  to: "chat.completions.create",
  translate(request, context) {
    const tools = optionalList(request.tools, "tools");
    const body = {
      ...commonFields(request, context),
      messages: toChatMessages(request.messages),
      ...(tools.length === 0 ? {} : { tools }),
      ...chatFields(request),
    };
    return toOllamaTranslation("chat", body, request, context);
  },
};
