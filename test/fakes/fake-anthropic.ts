import { anthropicError } from "./fake-messages.ts";
import { makeFakeModel } from "./fake-model.ts";
import type { FakeSurface } from "./fake-surface.ts";

const supported = (is: boolean) => ({ supported: is });

/** Anthropic's API, as its reference and its answers describe it. */
export const fakeAnthropic: FakeSurface = {
  version: "",
  models: [
    makeFakeModel({ id: "claude-sonnet-4-5-20250929", contextLoaded: 200_000, vision: true, reasoning: true }),
    makeFakeModel({ id: "claude-3-haiku-20240307", contextLoaded: 200_000, vision: true }),
  ],
  headers: { "request-id": "req_fake" },
  isOpen: () => false,
  /** It reads its own headers only, and has no operation of OpenAI's. */
  refuses({ path, headers }, key) {
    if (!/^\/v1\/(?:models|messages)(?:\/|$)/.test(path)) return anthropicError(404, "not_found_error", "Not found");
    if (key !== undefined && headers["x-api-key"] !== key) {
      const message = headers.authorization === undefined ? "x-api-key header is required" : "Invalid bearer token";
      return anthropicError(401, "authentication_error", message);
    }
    if (headers["anthropic-version"] !== undefined) return undefined;
    return anthropicError(400, "invalid_request_error", "anthropic-version: header is required");
  },
  /** Flag `bare`: without what newer versions of the list tell. */
  answer(request, { models, flags }) {
    if (request.method !== "GET" || request.path !== "/v1/models") return undefined;
    const data = models.map((model) => ({
      type: "model",
      id: model.id,
      display_name: model.id,
      created_at: "2025-09-29T00:00:00Z",
      ...(flags.has("bare")
        ? {}
        : {
            lifecycle: model.state === "available" ? "retired" : "active",
            max_input_tokens: model.contextLoaded,
            max_tokens: 64_000,
            capabilities: {
              image_input: supported(model.vision),
              structured_outputs: supported(true),
              thinking: { ...supported(model.reasoning), types: {} },
            },
          }),
    }));
    return { body: { data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null } };
  },
  notFound: () => anthropicError(404, "not_found_error", "Not found"),
  denied: () => anthropicError(401, "authentication_error", "invalid x-api-key"),
  unknownModel: (id) => anthropicError(404, "not_found_error", `model: ${id}`),
};
