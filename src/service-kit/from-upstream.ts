import type { IncomingMessage } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { describeError, NexusError } from "../base/errors.ts";
import { type Operation, operations } from "../contract/operations.ts";
import { type FieldMap, isPlainMap, mapFields } from "./map-fields.ts";
import { isJson, mediaType } from "./read-body.ts";
import { answerStream, readWhole, refusedBy, relayEvents } from "./relay-upstream.ts";
import { bytes, json, type ServiceResponse } from "./response.ts";
import type { Handler, Handlers, ModelInput, ServiceContext, ServiceDefinition, ServiceRequest } from "./service.ts";
import { createUpstream, type Upstream } from "./upstream.ts";
import type { UpstreamSettings, WrappedServer } from "./upstream-file.ts";
import { capabilitiesOf, serveWork } from "./work/serve-work.ts";
import { workByUpstream } from "./work-by-upstream.ts";

/** The parts of a definition that follow from the server behind it. */
export type ServedUpstream = Pick<ServiceDefinition, "capabilities" | "models" | "handlers" | "start" | "stop">;

/** How long the server may take to say that it is well. */
const healthMs = 3_000;

/**
 * A service in front of an HTTP server that exists: requests go there with other paths, model names and fields, answers
 * come back the same way, streams as they are made. Ready while the server is.
 */
export function serveUpstream({ settings, baseUrl, key }: WrappedServer): ServedUpstream {
  const { title, concurrency, domains } = settings;
  const upstream = createUpstream({ baseUrl, title, key });
  const models = settings.models.map(
    ({ as: _as, domains: own = domains, ...model }): ModelInput => ({ ...model, domains: own }),
  );
  const watch = async (context: ServiceContext) => await watchHealth(upstream, settings, context);
  if (settings.work !== undefined) {
    const [domain = "tool"] = domains;
    const work = workByUpstream(domain, upstream, settings);
    return { models: () => models, start: watch, ...serveWork(work.domain, work.run, { concurrency }) };
  }
  return {
    capabilities: { ...capabilitiesOf(domains), max_concurrency: concurrency },
    models: () => models,
    handlers: relays(upstream, settings),
    start: watch,
  };
}

function relays(upstream: Upstream, settings: UpstreamSettings): Handlers {
  const handlers = Object.keys(settings.operations).map((id) => {
    const operation = operations.find((one) => one.id === id && one.owner === "instance");
    if (operation === undefined || id === "realtime.connect") {
      throw new NexusError("invalid_request", `upstream.yaml: operations: ${id} can't be passed on.`);
    }
    return [id, relay(upstream, operation, settings)] as const;
  });
  return Object.fromEntries(handlers);
}

function relay(upstream: Upstream, operation: Operation, settings: UpstreamSettings): Handler {
  const { path = operation.path, request: toTheirs, response: toOurs } = settings.operations[operation.id] ?? noMaps;
  const { title, stallSeconds, timeoutSeconds } = settings;
  return async (request) => {
    const { signal } = request;
    const query = request.query.size === 0 ? "" : `${path.includes("?") ? "&" : "?"}${request.query.toString()}`;
    const target = `${path.replace("{id}", encodeURIComponent(request.id))}${query}`;
    const model = theirModel(settings, request.body.model);
    const answer = await upstream.open(target, {
      method: operation.method,
      ...(operation.body === "none" ? {} : bodyFor(request, model, toTheirs)),
      of: request,
      signal,
      timeoutMs: timeoutSeconds * 1000,
    });
    const stream = answerStream(answer, { title, stallMs: stallSeconds * 1000, signal });
    const status = answer.statusCode ?? 0;
    if (status < 200 || status >= 300) return await refusedBy(answer, stream, title);
    const restore = (value: unknown) => mapFields(withModel(value, request.body.model), toOurs);
    const isSame = isPlainMap(toOurs) && model === request.body.model;
    const isText = operation.answers.includes("text");
    return await pass(answer, stream, { restore, isSame, isText, title, bytesMax: settings.answerBytesMax });
  };
}

const noMap: FieldMap = { rename: {}, drop: [], set: {} };
const noMaps = { path: undefined, request: noMap, response: noMap };

interface Passing {
  /** Their JSON as ours. */
  readonly restore: (value: unknown) => unknown;
  /** Whether their JSON is ours as it is. */
  readonly isSame: boolean;
  /** Whether plain text is an answer. */
  readonly isText: boolean;
  readonly title: string;
  readonly bytesMax: number;
}

async function pass(
  answer: IncomingMessage,
  stream: AsyncIterable<Buffer>,
  { restore, isSame, isText, title, bytesMax }: Passing,
): Promise<ServiceResponse> {
  const contentType = answer.headers["content-type"] ?? "application/octet-stream";
  const type = mediaType(contentType);
  if (isJson(type)) return json(restore(await readJson(stream, bytesMax)));
  if (type === "text/event-stream" && !isSame) return bytes(relayEvents(stream, restore, bytesMax), contentType);
  if (type === "text/html") {
    // What no operation answers: a login or error page of whatever stands in front of the server. But whisper.cpp's server
    // calls its plain text so.
    const text = await readWhole(stream, bytesMax);
    if (isText && !/^\s*</.test(text.toString("latin1", 0, 1_024))) return bytes(text, "text/plain; charset=utf-8");
    throw new NexusError("backend_error", `${title} answered with a page for people.`, { source: "service" });
  }
  return bytes(stream, contentType);
}

async function readJson(stream: AsyncIterable<Buffer>, bytesMax: number): Promise<unknown> {
  const whole = await readWhole(stream, bytesMax);
  try {
    return JSON.parse(whole.toString("utf8"));
  } catch (error) {
    throw new NexusError("backend_error", "The server behind this service answered with no JSON.", {
      source: "service",
      cause: error,
    });
  }
}

/** Their name for a model that a client means. */
function theirModel(settings: UpstreamSettings, asked: unknown): unknown {
  const model = settings.models.find(({ id, aliases }) => id === asked || aliases.some((alias) => alias === asked));
  return model === undefined ? asked : (model.as ?? model.id);
}

function withModel(value: unknown, model: unknown): unknown {
  const hasOne = typeof value === "object" && value !== null && "model" in value && typeof value.model === "string";
  return hasOne && typeof model === "string" ? { ...value, model } : value;
}

function bodyFor(request: ServiceRequest, model: unknown, map: FieldMap): { json: unknown } | { form: FormData } {
  const fields = mapFields(model === undefined ? request.body : { ...request.body, model }, map);
  if (!request.contentType.toLowerCase().startsWith("multipart/form-data")) return { json: fields };
  const form = new FormData();
  for (const [name, value] of Object.entries(fields as object)) {
    if (!Array.isArray(value)) form.append(name, String(value));
    else for (const one of value) form.append(`${name}[]`, String(one));
  }
  for (const { name, filename, contentType, bytes: content } of request.files) {
    form.append(name, new Blob([Buffer.from(content)], { type: contentType }), filename);
  }
  return { form };
}

/** Looks once before the service can be ready, and again and again until it ends. */
async function watchHealth(upstream: Upstream, settings: UpstreamSettings, context: ServiceContext): Promise<void> {
  const { title, health } = settings;
  const look = async (): Promise<void> => {
    const problem = await healthProblem(upstream, health.path, context.signal);
    if (context.signal.aborted) return;
    context.check(
      "upstream",
      problem === undefined ? { status: "ok" } : { status: "failed", reason: `${title} ${problem}` },
    );
  };
  await look();
  const go = async (): Promise<void> => {
    while (!context.signal.aborted) {
      await pause(health.everySeconds * 1000, undefined, { signal: context.signal, ref: false });
      await look();
    }
  };
  void go().catch((error: unknown) => {
    if (!context.signal.aborted) context.log.error({ error }, "nobody watches the server any more");
  });
}

async function healthProblem(upstream: Upstream, path: string, signal: AbortSignal): Promise<string | undefined> {
  const call = { signal: AbortSignal.any([signal, AbortSignal.timeout(healthMs)]), bytesMax: 1024 * 1024 };
  try {
    const { status } = await upstream.ask(path, call);
    return status >= 200 && status < 300 ? undefined : `answers ${status} to ${path}`;
  } catch (error) {
    return error instanceof NexusError && error.code === "backend_unreachable"
      ? `can't be reached (${describeError(error.cause).replace(/ \S+:\d+/g, "")})`
      : `does not answer ${path} in time`;
  }
}
