import { toOllamaTranslation } from "./ollama-answer.ts";
import { chatFields, commonFields, contentWithImages } from "./ollama-request.ts";
import { isGiven, type JsonObject, optionalText, unsupportedField } from "./request-fields.ts";
import type { Translator } from "./translation.ts";

/**
 * Ollama's `POST /api/generate` out of chat completions: one message of a user, which the model's own template is
 * applied to, as Ollama does it.
 */
export const ollamaGenerateToChat: Translator = {
  from: "ollama.generate",
  to: "chat.completions.create",
  suits: (request) => !isBare(request),
  translate(request, context) {
    refuseUnsupported(request);
    const system = optionalText(request.system, "system") ?? "";
    const prompt = optionalText(request.prompt, "prompt") ?? "";
    const body = {
      ...commonFields(request, context),
      messages: [
        ...(system === "" ? [] : [{ role: "system", content: system }]),
        { role: "user", content: contentWithImages(prompt, request.images, "images") },
      ],
      ...chatFields(request),
    };
    return toOllamaTranslation("generate", body, request, context);
  },
};

/** Ollama's `POST /api/generate` out of completions: a raw prompt, or a gap to be filled before a suffix. */
export const ollamaGenerateToCompletions: Translator = {
  from: "ollama.generate",
  to: "completions.create",
  suits: isBare,
  translate(request, context) {
    refuseUnsupported(request);
    if (Array.isArray(request.images) && request.images.length > 0) {
      throw unsupportedField("images", "Images need a template. Leave out 'raw' and 'suffix'.");
    }
    const suffix = optionalText(request.suffix, "suffix") ?? "";
    const body = {
      ...commonFields(request, context),
      prompt: optionalText(request.prompt, "prompt") ?? "",
      ...(suffix === "" ? {} : { suffix }),
    };
    return toOllamaTranslation("generate", body, request, context);
  },
};

/** Whether the prompt is to reach the model without a template around it. */
function isBare({ raw, suffix }: JsonObject): boolean {
  return raw === true || (isGiven(suffix) && suffix !== "");
}

function refuseUnsupported({ template, context }: JsonObject): void {
  if (isGiven(template) && template !== "") {
    throw unsupportedField("template", "The model's own template is used. Send 'raw' with a prompt that is ready.");
  }
  if (Array.isArray(context) && context.length > 0) {
    throw unsupportedField("context", "Conversations are not kept as tokens here. Send the messages to /api/chat.");
  }
}
