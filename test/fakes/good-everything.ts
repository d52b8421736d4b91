import { NexusError } from "../../src/base/errors.ts";
import { routedOperations } from "../../src/contract/operations.ts";
import {
  bytes,
  eventStream,
  type HandledOperationId,
  type Handler,
  json,
  type Service,
  type ServiceDefinition,
  type ServiceRequest,
  type ServiceResponse,
} from "../../src/service-kit/index.ts";
import type { FakePieces } from "./fake-faults.ts";
import { makeFakeModel } from "./fake-model.ts";
import { FakeOperations } from "./fake-operations.ts";
import { type FakeReply, isPieces } from "./fake-reply.ts";
import { goodRealtime } from "./good-realtime.ts";
import { goodService, type Pace } from "./good-service.ts";

/** What a good service serves by itself. */
const own: readonly string[] = ["chat.completions.create", "completions.create", "embeddings.create"];
const others = routedOperations.flatMap(({ id }) => (id === "realtime.connect" || own.includes(id) ? [] : [id]));
const domains = ["image", "speech", "transcription", "ocr", "video", "music", "rerank", "moderation", "tool"] as const;

/**
 * A good service that serves every operation there is: what it has no handler of its own for is answered as fake
 * backends answer it. `pace` is awaited before each piece of what it makes.
 */
export function goodEverything(overrides: Partial<ServiceDefinition> = {}, pace?: Pace): Service {
  const operations = new FakeOperations();
  const good = goodService({}, pace);
  return goodService(
    {
      capabilities: { ...good.capabilities, domains: ["chat", "embedding", ...domains] },
      models: () => [
        ...good.models(),
        { id: "fake-talk", domains: ["chat"], features: { realtime: true } },
        { id: "fake-all", domains: [...domains], state: "loaded" },
      ],
      handlers: {
        ...good.handlers,
        ...Object.fromEntries(others.map((id) => [id, handlerOf(id, operations, pace)])),
        "realtime.connect": goodRealtime(pace),
      },
      ...overrides,
    },
    pace,
  );
}

function handlerOf(operation: HandledOperationId, operations: FakeOperations, pace: Pace | undefined): Handler {
  const row = routedOperations.find(({ id }) => id === operation);
  const isWork = row?.method === "POST" && row.id !== "videos.remix";
  return (request) => {
    const { body, files, id, query } = request;
    if (typeof body.messages === "number" || typeof body.input === "number") throw refused("a field has a wrong type");
    const form = files.length === 0 ? undefined : { fields: [], files };
    const model = makeFakeModel({ id: String(body.model) });
    const words = ["green", " and", " so", " on"];
    const reply = isWork
      ? operations.work({ operation, fields: body, form, model, words, baseUrl: "http://127.0.0.1:1" })
      : operations.look({ operation, path: (row?.path ?? "").replace("{id}", id), query, fields: body });
    return answerOf(reply, request, pace);
  };
}

function refused(message: string): NexusError {
  return new NexusError("invalid_request", `The request cannot be served: ${message}.`);
}

function answerOf(reply: FakeReply, request: ServiceRequest, pace: Pace | undefined): ServiceResponse {
  if (!isPieces(reply)) {
    if (reply.status === 404) throw new NexusError("not_found", "There is no such job.");
    throw refused(JSON.stringify(reply.body));
  }
  const type = reply.headers["content-type"] ?? "";
  if (type.startsWith("text/event-stream")) return eventStream(events(reply), { typed: true });
  if (reply.isMedia !== true) {
    const text = Buffer.concat(reply.pieces.map((piece) => Buffer.from(piece)));
    return type === "application/json" ? json(JSON.parse(text.toString())) : bytes(text, type);
  }
  return bytes(paced(reply, request, pace), type);
}

async function* events({ pieces }: FakePieces): AsyncIterable<object> {
  for (const piece of pieces) {
    const [data] = /(?<=^data: ).*$/m.exec(String(piece)) ?? [];
    yield JSON.parse(data ?? "{}") as object;
  }
}

async function* paced({ pieces }: FakePieces, { signal }: ServiceRequest, pace: Pace | undefined) {
  for (const [index, piece] of pieces.entries()) {
    await pace?.(index, signal);
    yield Buffer.from(piece);
  }
}
