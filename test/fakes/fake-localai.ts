import { makeFakeModel } from "./fake-model.ts";
import { type FakeSurface, openAiError } from "./fake-surface.ts";

/** LocalAI, as its documentation describes it. Flag `no-well-known`: a version before 3. */
export const fakeLocalai: FakeSurface = {
  version: "v3.7.0 (a1b2c3d4)",
  models: [
    makeFakeModel({ id: "gpt-4" }),
    makeFakeModel({ id: "text-embedding-ada-002", state: "available", kind: "embedding" }),
  ],
  headers: {},
  isOpen: (path) => ["/healthz", "/readyz", "/.well-known/localai.json"].includes(path),
  answer(request, state) {
    if (request.method !== "GET") return undefined;
    switch (request.path) {
      case "/healthz":
      case "/readyz":
        return state.unready ? { status: 503 } : {};
      case "/version":
        return { body: { version: state.version } };
      case "/system":
        return {
          body: {
            backends: ["llama-cpp", "whisper"],
            loaded_models: state.models.filter((model) => model.state === "loaded").map(({ id }) => ({ id })),
          },
        };
      case "/.well-known/localai.json":
        if (state.flags.has("no-well-known")) return undefined;
        return {
          body: {
            version: state.version,
            endpoints: { models: "/v1/models", chat_completions: "/v1/chat/completions" },
            capabilities: { config_metadata: true, mcp: true },
          },
        };
      case "/v1/models":
      case "/models":
        return { body: { object: "list", data: state.models.map(({ id }) => ({ id, object: "model" })) } };
      default:
        return undefined;
    }
  },
  notFound: () => openAiError(404, "Resource not found", "invalid_request_error", 404),
  denied: () => openAiError(401, "An authentication key is required", "invalid_request_error", 401),
  unknownModel: (id) => openAiError(404, `model "${id}" not found`, "invalid_request_error", 404),
};
