import { makeFakeModel } from "./fake-model.ts";
import { type FakeSurface, openAiError } from "./fake-surface.ts";

/** Any server with `/v1/models` and nothing else to know it by. */
export const fakeOpenaiCompatible: FakeSurface = {
  version: "",
  models: [makeFakeModel({ id: "some-model" }), makeFakeModel({ id: "text-embedding-3-small", kind: "embedding" })],
  headers: {},
  isOpen: () => false,
  answer(request, state) {
    if (request.method !== "GET" || request.path !== "/v1/models") return undefined;
    if (state.unready) return openAiError(503, "The server is overloaded", "server_error", null);
    const data = state.models.map(({ id }) => ({ id, object: "model", created: 1_764_000_000, owned_by: "somebody" }));
    return { body: { object: "list", data } };
  },
  notFound: ({ method, path }) => openAiError(404, `Invalid URL (${method} ${path})`, "invalid_request_error", null),
  denied: () => openAiError(401, "Incorrect API key provided", "invalid_request_error", "invalid_api_key"),
  unknownModel: (id) =>
    openAiError(404, `The model \`${id}\` does not exist`, "invalid_request_error", "model_not_found"),
};
