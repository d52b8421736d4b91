import { makeFakeModel } from "./fake-model.ts";
import { type FakeSurface, openAiError } from "./fake-surface.ts";

/** Routes by its model's task; the names of parameters are its own. */
const pathsOfKind: Readonly<Record<string, readonly string[]>> = {
  chat: ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/responses/{response_id}/cancel"],
  embedding: ["/v1/embeddings"],
  rerank: ["/rerank", "/v1/rerank", "/v2/rerank"],
  transcription: ["/v1/audio/transcriptions", "/v1/audio/translations"],
};

/** vLLM's OpenAI-compatible server, as its documentation and its answers describe it. */
export const fakeVllm: FakeSurface = {
  version: "0.11.0",
  models: [makeFakeModel({ id: "Qwen/Qwen2.5-7B-Instruct", contextTrained: 32_768, contextLoaded: 32_768 })],
  headers: { server: "uvicorn" },
  // Its key guards /v1 only.
  isOpen: (path) => !path.startsWith("/v1"),
  answer(request, state) {
    const route = `${request.method} ${request.path}`;
    if (route === "GET /health" || route === "GET /ping") return state.unready ? { status: 503 } : {};
    if (route === "GET /version") return { body: { version: state.version } };
    if (route === "GET /metrics") {
      return { headers: { "content-type": "text/plain" }, body: "vllm:num_requests_running 0.0\n" };
    }
    if (route === "GET /openapi.json") {
      const paths = state.models.flatMap(({ kind }) => pathsOfKind[kind] ?? []);
      return {
        body: {
          openapi: "3.1.0",
          info: { title: "FastAPI", version: "0.1.0" },
          paths: Object.fromEntries([
            ...["/health", "/version", "/v1/models"].map((path) => [path, { get: {} }]),
            ...paths.map((path) => [path, { post: {} }]),
          ]),
        },
      };
    }
    if (route !== "GET /v1/models") return undefined;
    const data = state.models.map((model) => ({
      id: model.id,
      object: "model",
      created: 1_764_000_000,
      owned_by: "vllm",
      root: model.id,
      parent: null,
      max_model_len: model.contextLoaded,
      permission: [{ id: "modelperm-fake", object: "model_permission", allow_sampling: true }],
    }));
    return { body: { object: "list", data } };
  },
  notFound: () => ({ status: 404, body: { detail: "Not Found" } }),
  denied: () => ({ status: 401, body: { error: "Unauthorized" } }),
  unknownModel: (id) => openAiError(404, `The model \`${id}\` does not exist.`, "NotFoundError", 404),
};
