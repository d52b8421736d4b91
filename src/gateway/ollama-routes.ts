import { operationById } from "../contract/operations.ts";
import { ollamaChatToChat } from "../translate/ollama-chat-to-chat.ts";
import { ollamaEmbed, ollamaEmbeddings } from "../translate/ollama-embed.ts";
import { ollamaGenerateToChat, ollamaGenerateToCompletions } from "../translate/ollama-generate.ts";
import { ollamaIdleAnswer } from "../translate/ollama-idle-answer.ts";
import {
  type OllamaModelSource,
  ollamaPsAnswer,
  ollamaShowAnswer,
  ollamaTagsAnswer,
  ollamaVersionAnswer,
} from "../translate/ollama-models.ts";
import { parseRequest } from "../translate/request-fields.ts";
import type { TranslationContext, Translator } from "../translate/translation.ts";
import { type AskedOperation, readJsonAsk } from "./ask.ts";
import { modelsAllowed } from "./authenticate.ts";
import { readWishes } from "./client-wishes.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { listModels, offersOf } from "./list-models.ts";
import { readBody } from "./read-body.ts";
import type { Route } from "./routes.ts";
import { send, sendJson } from "./send-json.ts";
import { serveAsk } from "./serve-operation.ts";
import { translationContext } from "./translation-context.ts";
import { translators } from "./translators.ts";

const ollamaTranslators: readonly Translator[] = [
  ollamaChatToChat,
  ollamaGenerateToChat,
  ollamaGenerateToCompletions,
  ollamaEmbed,
  ollamaEmbeddings,
  ...translators,
];

type AskingId = "ollama.chat" | "ollama.generate" | "ollama.embed" | "ollama.embeddings";

/** What only the gateway understands: an operation of OpenAI's under another path. */
function askedOperation(
  id: AskingId,
  path: string,
  like: "chat.completions.create" | "embeddings.create",
): AskedOperation {
  return { ...operationById(like), id, path };
}

async function serveAsking(
  operation: AskedOperation & { readonly id: string },
  exchange: Exchange,
  parts: GatewayParts,
): Promise<void> {
  readWishes(exchange);
  const body = await readBody(exchange, parts.settings.bodyBytesMax, { mediaTypes: ollamaMediaTypes });
  exchange.readAt = exchange.clock.monotonic();
  const context = translationContext(exchange, parts);
  if (serveIdle(operation.id, { body, context }, exchange, parts)) return;
  await serveAsk(
    exchange,
    readJsonAsk({ operation, body, isNative: false, translators: ollamaTranslators, context }),
    parts,
  );
}

/** `curl -d` says that it sends a form, and Ollama's own documentation uses it so. */
const ollamaMediaTypes = ["application/json", "application/x-www-form-urlencoded", "text/plain"];

/** Answers a request that asks for nothing but to load a model: true when it was one. */
function serveIdle(
  id: string,
  { body, context }: { readonly body: Buffer; readonly context: TranslationContext },
  exchange: Exchange,
  parts: GatewayParts,
): boolean {
  if (id === "ollama.embeddings") return false;
  const request = parseRequest(body);
  const idle = ollamaIdleAnswer(id as Exclude<AskingId, "ollama.embeddings">, request, context);
  if (idle === undefined) return false;
  // The same words as for a model that nobody has.
  ollamaShowAnswer(request, modelSources(exchange, parts));
  const json = JSON.stringify(idle.document);
  if (idle.isStreamed) send(exchange, 200, "application/x-ndjson", `${json}\n`);
  else send(exchange, 200, "application/json", json);
  return true;
}

function modelSources(exchange: Exchange, parts: GatewayParts): readonly OllamaModelSource[] {
  return listModels(parts, modelsAllowed(exchange)).map(({ id, context_window, created, nexus }) => {
    const [offer] = offersOf(id, parts).offers;
    return {
      name: id,
      domains: nexus.domains,
      contextWindow: context_window,
      sizeBytes: offer?.model.size_bytes ?? null,
      vramBytes: offer?.model.vram_bytes ?? null,
      isLoaded: nexus.state === "loaded",
      features: Object.fromEntries(Object.entries(nexus.features).map(([name, { value }]) => [name, value])),
      createdSeconds: created,
    };
  });
}

async function serveShow(exchange: Exchange, parts: GatewayParts): Promise<void> {
  const body = await readBody(exchange, parts.settings.bodyBytesMax, { mediaTypes: ollamaMediaTypes });
  sendJson(exchange, 200, ollamaShowAnswer(parseRequest(body), modelSources(exchange, parts)));
}

function askingRoute(id: AskingId, path: string, like: "chat.completions.create" | "embeddings.create"): Route {
  const operation = askedOperation(id, path, like);
  return {
    method: "POST",
    path,
    operation: id,
    access: "models",
    serve: (exchange, parts) => serveAsking(operation, exchange, parts),
  };
}

function pageRoute(path: string, operation: string, page: (exchange: Exchange, parts: GatewayParts) => object): Route {
  return {
    method: "GET",
    path,
    operation,
    access: "models",
    serve: (exchange, parts) => sendJson(exchange, 200, page(exchange, parts)),
  };
}

/** What Ollama says at its root: its command line asks there, with HEAD and no key, before anything else. */
function serveRoot(exchange: Exchange): void {
  send(exchange, 200, "text/plain; charset=utf-8", "Ollama is running");
}

/** Ollama's native API, for its own clients and what is written for it. */
export const ollamaRoutes: readonly Route[] = [
  { method: "GET", path: "/", operation: "ollama.root", access: "open", serve: serveRoot },
  askingRoute("ollama.chat", "/api/chat", "chat.completions.create"),
  askingRoute("ollama.generate", "/api/generate", "chat.completions.create"),
  askingRoute("ollama.embed", "/api/embed", "embeddings.create"),
  askingRoute("ollama.embeddings", "/api/embeddings", "embeddings.create"),
  pageRoute("/api/tags", "ollama.tags", (...of) => ollamaTagsAnswer(modelSources(...of))),
  pageRoute("/api/ps", "ollama.ps", (...of) => ollamaPsAnswer(modelSources(...of))),
  pageRoute("/api/version", "ollama.version", () => ollamaVersionAnswer()),
  {
    method: "POST",
    path: "/api/show",
    operation: "ollama.show",
    access: "models",
    serve: serveShow,
  },
];
