import type { ErrorBody } from "../base/error-body.ts";

/** Longer messages are cut: some servers put a whole trace or the whole prompt into them. */
const messageCharactersMax = 1_000;

/**
 * What a backend says is wrong with the request, in OpenAI's shape. Servers say it in several ways: `{error: {message}}`
 * (OpenAI, vLLM, llama.cpp), `{error: "..."}` (Ollama), `{message}` or `{object: "error", message}` (vLLM before 0.9),
 * `{detail}` (FastAPI).
 */
export function readBackendError(body: Buffer, status: number): ErrorBody {
  const said = describe(parse(body));
  const text = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null);
  return {
    error: {
      message: (text(said.message) ?? `The service refused the request with status ${status}.`).slice(
        0,
        messageCharactersMax,
      ),
      type: text(said.type) ?? "invalid_request_error",
      param: text(said.param),
      code: text(said.code) ?? "invalid_request",
    },
  };
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

function describe(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null) return {};
  const body = value as Record<string, unknown>;
  if (typeof body.error === "string") return { message: body.error };
  if (typeof body.error === "object" && body.error !== null) return body.error as Record<string, unknown>;
  if (typeof body.detail === "string") return { message: body.detail };
  if (Array.isArray(body.detail)) return { message: body.detail.map(describeDetail).join("; ") };
  return body;
}

/** One entry of FastAPI's validation errors: `{loc: ["body", "messages"], msg: "Field required"}`. */
function describeDetail(detail: unknown): string {
  if (typeof detail !== "object" || detail === null) return String(detail);
  const { loc, msg } = detail as { loc?: unknown; msg?: unknown };
  return `${Array.isArray(loc) ? `${loc.slice(1).join(".")}: ` : ""}${String(msg)}`;
}
