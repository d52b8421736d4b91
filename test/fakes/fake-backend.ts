import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { fakeAnthropic } from "./fake-anthropic.ts";
import { type FakeClient, type FakeFaults, waitForFirstByte, writeFaulty } from "./fake-faults.ts";
import { defaultWords } from "./fake-generation.ts";
import { generatedPath, png } from "./fake-images.ts";
import { fakeLlamaCpp } from "./fake-llama-cpp.ts";
import { fakeLmStudio } from "./fake-lm-studio.ts";
import { fakeLocalai } from "./fake-localai.ts";
import { anthropicError } from "./fake-messages.ts";
import { type FakeModel, makeFakeModel } from "./fake-model.ts";
import { fakeNexus } from "./fake-nexus.ts";
import { fakeOllama } from "./fake-ollama.ts";
import { fakeOpenaiCompatible } from "./fake-openai-compatible.ts";
import { FakeOperations } from "./fake-operations.ts";
import { openRealtime } from "./fake-realtime.ts";
import { type FakeReply, isPieces } from "./fake-reply.ts";
import type { FakeAnswer, FakeRequest, FakeState, FakeSurface } from "./fake-surface.ts";
import { fakeVllm } from "./fake-vllm.ts";
import { fieldsOf, readRequest } from "./read-request.ts";
import { Watch } from "./watch.ts";

/** What each kind answers, without a server around it. */
export const fakeSurfaces = {
  nexus: fakeNexus,
  ollama: fakeOllama,
  "llama-cpp": fakeLlamaCpp,
  vllm: fakeVllm,
  anthropic: fakeAnthropic,
  "lm-studio": fakeLmStudio,
  localai: fakeLocalai,
  "openai-compatible": fakeOpenaiCompatible,
} as const satisfies Record<string, FakeSurface>;

export type FakeKind = keyof typeof fakeSurfaces;
export const fakeKinds = Object.keys(fakeSurfaces) as readonly FakeKind[];

/** How a fake server behaves. Everything but the port can be changed while it runs. */
export interface FakeBackendOptions {
  /** Default 0: a free one. */
  readonly port?: number;
  /** Default: a few that are usual for the kind. */
  readonly models?: readonly (Partial<FakeModel> & { id: string })[];
  /** The bearer key that it asks for; none by default. */
  readonly key?: string;
  /** Generations that run at once; more wait in line, as in llama.cpp. Default: no limit. */
  readonly slots?: number;
  /** The words of every answer. Default: text in one to four bytes a letter. */
  readonly words?: readonly string[];
  readonly version?: string;
  /** Up but not ready: its readiness answers 503. */
  readonly unready?: boolean;
  /** Accepts connections and answers nothing at all, probes included. */
  readonly frozen?: boolean;
  readonly faults?: FakeFaults;
  /** Switches of the kind; see each fake. */
  readonly flags?: readonly string[];
  /** Answers by `GET /path`, before anything else. */
  readonly overrides?: Readonly<Record<string, FakeAnswer>>;
}

/** A server on a real socket that looks like a kind of backend, records what it was asked and fails on demand. */
export interface FakeBackend {
  readonly url: string;
  readonly port: number;
  /** In the order of their arrival. */
  readonly requests: readonly FakeRequest[];
  /** What came in over WebSockets, in the order of its arrival. */
  readonly messages: readonly Readonly<Record<string, unknown>>[];
  /** Generations asked for so far, those that failed included. */
  readonly generations: number;
  /** Models that were loaded because somebody asked for them. */
  readonly loads: number;
  /** Generations that are under way, those in line included. */
  readonly inFlight: number;
  /** The highest `inFlight` so far. */
  readonly peak: number;
  /** Requests whose client went away before the answer was complete. */
  readonly aborted: number;
  /** Open connections. */
  readonly connections: number;
  /** Changes the behaviour from the next request on; `faults` are replaced as a whole. */
  set(options: Omit<FakeBackendOptions, "port">): void;
  /**
   * Resolves when `condition` holds, looked at after every event. Rejects after `timeoutMs`, default 30 s, or when the
   * server is closed.
   */
  until(condition: (backend: FakeBackend) => boolean, timeoutMs?: number): Promise<void>;
  /** Resets every open connection; the server goes on. */
  killConnections(): void;
  /** Resets every open connection and stops listening: the next connection is refused. */
  close(): Promise<void>;
}

/** Starts a fake server of a kind on 127.0.0.1. */
export async function startFakeBackend(kind: FakeKind, options: FakeBackendOptions = {}): Promise<FakeBackend> {
  const backend = new RunningFake(fakeSurfaces[kind], options);
  await backend.listen(options.port ?? 0);
  return backend;
}

class RunningFake implements FakeBackend {
  readonly requests: FakeRequest[] = [];
  readonly messages: Readonly<Record<string, unknown>>[] = [];
  generations = 0;
  loads = 0;
  inFlight = 0;
  peak = 0;
  aborted = 0;
  port = 0;
  readonly #surface: FakeSurface;
  readonly #operations = new FakeOperations();
  #options: FakeBackendOptions;
  #models: FakeModel[];
  #faultsLeft: number;
  #running = 0;
  readonly #line: (() => void)[] = [];
  readonly #sockets = new Set<Socket>();
  /** Sockets that the fake reset itself: nobody aborted there. */
  readonly #ownResets = new WeakSet<Socket>();
  readonly #watch = new Watch(() => {
    const { generations, inFlight, aborted, connections } = this;
    return JSON.stringify({ requests: this.requests.length, generations, inFlight, aborted, connections });
  });
  readonly #server = createServer((message, response) => {
    void this.#serve(message, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)));
    });
  });

  constructor(surface: FakeSurface, options: FakeBackendOptions) {
    this.#surface = surface;
    this.#options = options;
    this.#models = (options.models ?? surface.models).map(makeFakeModel);
    this.#faultsLeft = options.faults?.times ?? Number.POSITIVE_INFINITY;
    // Longer than any test: an idle connection that closes by itself would look like a fault.
    this.#server.keepAliveTimeout = 60_000;
    this.#server.on("connection", (socket) => this.#keep(socket));
    this.#server.on("upgrade", (message, socket, head) => void this.#upgrade(message, socket, head));
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  async listen(port: number): Promise<void> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    this.port = (this.#server.address() as AddressInfo).port;
  }

  set(options: Omit<FakeBackendOptions, "port">): void {
    this.#options = { ...this.#options, ...options };
    if (options.models !== undefined) this.#models = options.models.map(makeFakeModel);
    if (options.faults !== undefined) this.#faultsLeft = options.faults.times ?? Number.POSITIVE_INFINITY;
  }

  until(condition: (backend: FakeBackend) => boolean, timeoutMs = 30_000): Promise<void> {
    return this.#watch.until(() => condition(this), timeoutMs);
  }

  killConnections(): void {
    for (const socket of this.#sockets) this.#reset(socket);
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.killConnections();
    await closed;
    this.#watch.end();
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.#changed();
    });
    this.#changed();
  }

  #reset(socket: Socket): void {
    this.#ownResets.add(socket);
    socket.resetAndDestroy();
  }

  #changed(): void {
    this.#watch.look();
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = message;
    const request = await readRequest(message);
    const gone = new AbortController();
    response.on("close", () => {
      request.finished = response.writableFinished;
      request.aborted = !request.finished && !this.#ownResets.has(socket);
      if (request.aborted) this.aborted += 1;
      gone.abort();
      this.#changed();
    });
    this.requests.push(request);
    this.#changed();
    if (this.#options.frozen === true) return;
    const answer = this.#answer(request);
    if (answer !== undefined) return send(response, answer, this.#surface.headers);
    const client: FakeClient = { gone: gone.signal, reset: () => this.#reset(socket) };
    if (request.generation) await this.#generate(request, response, client);
    else await this.#write(request, response, client);
  }

  /** A client that wants a WebSocket: gets one at the path of the Realtime API, when the model is there. */
  async #upgrade(message: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const request: FakeRequest = { ...(await readRequest(message)), operation: "realtime.connect" };
    this.requests.push(request);
    this.#changed();
    if (this.#options.frozen === true) return;
    const faults = this.#faultsLeft-- > 0 ? (this.#options.faults ?? {}) : {};
    if (faults.resetBeforeHeaders === true) return this.#reset(message.socket);
    const denied = this.#isKeyWrong(request);
    const model = this.#modelNamed(request.query.get("model") ?? "");
    const status =
      faults.status?.status ?? (denied ? 401 : request.path !== "/v1/realtime" || !model ? 404 : undefined);
    if (status !== undefined || model === undefined) {
      socket.end(`HTTP/1.1 ${status ?? 404} Refused\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    this.#load(model.id);
    openRealtime(message, socket, head, {
      model: model.id,
      words: this.#options.words ?? defaultWords,
      faults,
      onMessage: (event) => {
        this.messages.push(event);
        this.#changed();
      },
      onAnswer: () => this.#beginGeneration(),
      onClose: (code) => {
        request.finished = code === 1000 || code === 1005;
        request.aborted = !request.finished && !this.#ownResets.has(message.socket);
        if (request.aborted) this.aborted += 1;
        this.#changed();
      },
    });
  }

  #isKeyWrong({ path, headers }: FakeRequest): boolean {
    const { key } = this.#options;
    const isOpen = key === undefined || this.#surface.isOpen(path, this.#state().flags);
    return !isOpen && headers.authorization !== `Bearer ${key}` && headers["x-api-key"] !== key;
  }

  #modelNamed(id: string): FakeModel | undefined {
    const resolve = this.#surface.resolve ?? ((name, models) => models.find((model) => model.id === name));
    return resolve(id, this.#models);
  }

  /** The whole answer to everything that is no operation; undefined for an operation. */
  #answer(request: FakeRequest): FakeAnswer | undefined {
    const override = this.#options.overrides?.[`${request.method} ${request.path}`];
    if (override !== undefined) return override;
    const refusal = this.#surface.refuses?.(request, this.#options.key);
    if (refusal !== undefined) return refusal;
    if (this.#isKeyWrong(request)) return this.#surface.denied();
    if (request.operation !== undefined) return undefined;
    if (request.path.startsWith(generatedPath)) return { headers: { "content-type": "image/png" }, body: png(0) };
    return this.#surface.answer(request, this.#state()) ?? this.#surface.notFound(request);
  }

  #state(): FakeState {
    return {
      models: this.#models,
      version: this.#options.version ?? this.#surface.version,
      slots: this.#options.slots,
      unready: this.#options.unready ?? false,
      flags: new Set(this.#options.flags),
      load: (id) => this.#load(id),
      generate: (id) => {
        this.generations += 1;
        this.#load(id);
      },
    };
  }

  #load(id: string): void {
    if (this.#models.find((model) => model.id === id)?.state === "loaded") return;
    this.loads += 1;
    this.#models = this.#models.map((model) => (model.id === id ? { ...model, state: "loaded" } : model));
  }

  async #generate(request: FakeRequest, response: ServerResponse, client: FakeClient): Promise<void> {
    const end = this.#beginGeneration();
    const hasSlot = await this.#takeSlot(client.gone);
    try {
      if (hasSlot) await this.#write(request, response, client);
    } finally {
      if (hasSlot) this.#freeSlot();
      end();
    }
  }

  /** Counts one; the answer counts it out again. */
  #beginGeneration(): () => void {
    this.generations += 1;
    this.inFlight += 1;
    this.peak = Math.max(this.peak, this.inFlight);
    this.#changed();
    return () => {
      this.inFlight -= 1;
      this.#changed();
    };
  }

  /** In the order of arrival. False when the client is gone before its turn. */
  async #takeSlot(gone: AbortSignal): Promise<boolean> {
    if (this.#running < (this.#options.slots ?? Number.POSITIVE_INFINITY)) {
      this.#running += 1;
      return true;
    }
    // Whoever frees a slot hands it on, so that nobody who comes later takes it.
    return new Promise((resolve) => {
      const take = () => resolve(true);
      this.#line.push(take);
      gone.addEventListener("abort", () => {
        const place = this.#line.indexOf(take);
        if (place >= 0) this.#line.splice(place, 1);
        resolve(false);
      });
    });
  }

  #freeSlot(): void {
    const next = this.#line.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }

  async #write(request: FakeRequest, response: ServerResponse, client: FakeClient): Promise<void> {
    const faults = this.#faultsLeft-- > 0 ? (this.#options.faults ?? {}) : {};
    if (faults.headersFirst !== true) await waitForFirstByte(faults, client.gone);
    if (faults.resetBeforeHeaders === true) return client.reset();
    if (faults.status !== undefined) return send(response, faults.status, this.#surface.headers);
    const { operation = "videos.list" } = request;
    const isWork = request.generation && operation !== "videos.remix";
    const look = { ...request, operation, fields: fieldsOf(request) ?? {} };
    const reply = isWork ? this.#work(request) : this.#operations.look(look);
    if (!isPieces(reply)) return send(response, reply, this.#surface.headers);
    await writeFaulty(response, { ...reply, headers: { ...this.#surface.headers, ...reply.headers } }, faults, client);
  }

  #work(request: FakeRequest): FakeReply {
    const fields = fieldsOf(request);
    const { operation } = request;
    if (fields === undefined || operation === undefined) {
      return { status: 400, body: { error: { message: "the body is neither a JSON object nor a form" } } };
    }
    if (typeof fields.messages === "number" || typeof fields.input === "number") {
      const error = { message: "Input should be a valid list", type: "invalid_request_error", param: null, code: null };
      return { status: 400, body: { error } };
    }
    const id = String(fields.model ?? "");
    const model = this.#modelNamed(id);
    if (model === undefined) {
      const isAnthropic = operation.startsWith("messages.");
      return isAnthropic ? anthropicError(404, "not_found_error", `model: ${id}`) : this.#surface.unknownModel(id);
    }
    this.#load(model.id);
    const words = this.#options.words ?? defaultWords;
    return this.#operations.work({ operation, fields, form: request.form, model, words, baseUrl: this.url });
  }
}

function send(response: ServerResponse, answer: FakeAnswer, headers: Readonly<Record<string, string>>): void {
  const { status = 200, body = "" } = answer;
  const isDocument = typeof body === "object" && !Buffer.isBuffer(body);
  const bytes = isDocument ? Buffer.from(JSON.stringify(body)) : Buffer.from(body);
  response.writeHead(status, {
    ...headers,
    ...(isDocument ? { "content-type": "application/json" } : {}),
    ...answer.headers,
    "content-length": bytes.length,
  });
  response.end(bytes);
}
