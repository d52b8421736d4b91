import type { IncomingHttpHeaders } from "node:http";
import type { RoutedOperationId } from "../../src/contract/operations.ts";
import type { FakeModel } from "./fake-model.ts";

/** A form as a fake server read it. */
export interface FakeForm {
  readonly fields: readonly { readonly name: string; readonly value: string }[];
  readonly files: readonly {
    readonly name: string;
    readonly filename: string;
    readonly contentType: string;
    readonly bytes: Buffer;
  }[];
}

/** One request as a fake server saw it. Grows while the request is under way. */
export interface FakeRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  /** The body as JSON; undefined when it is empty or no JSON. */
  readonly body: Record<string, unknown> | undefined;
  /** The body as a form; undefined when it is none. */
  readonly form: FakeForm | undefined;
  /** The operation of the contract that it asked for; undefined for the kind's own pages. */
  readonly operation: RoutedOperationId | undefined;
  /** Whether it made a model work: looking at a job does not. */
  readonly generation: boolean;
  /** The client went away before the answer was complete. */
  aborted: boolean;
  /** The answer was sent to its end. */
  finished: boolean;
}

/** A complete answer: objects are sent as JSON, the rest as it is. */
export interface FakeAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object | string | Buffer;
}

/** What a kind of server knows of itself when it answers. */
export interface FakeState {
  readonly models: readonly FakeModel[];
  readonly version: string;
  readonly slots: number | undefined;
  /** The server is up but not ready: it loads, or its engine died. */
  readonly unready: boolean;
  /** Kind-specific switches, such as `router` for llama.cpp. */
  readonly flags: ReadonlySet<string>;
  /** Counts a load and makes the model `loaded`. */
  load(id: string): void;
  /** Counts a generation that came in over the kind's own API. */
  generate(id: string): void;
}

/** What distinguishes one kind of server from another: everything but the OpenAI operations. */
export interface FakeSurface {
  readonly version: string;
  readonly models: readonly FakeModel[];
  /** Headers of every answer. */
  readonly headers: Readonly<Record<string, string>>;
  /** What the kind refuses before anything else, operations included. */
  refuses?(request: FakeRequest, key: string | undefined): FakeAnswer | undefined;
  /** Paths that need no key although the server has one. */
  isOpen(path: string, flags: ReadonlySet<string>): boolean;
  /** Answers what is no OpenAI operation; undefined when the kind has no such route. */
  answer(request: FakeRequest, state: FakeState): FakeAnswer | undefined;
  /** What the kind says to an unknown path. */
  notFound(request: FakeRequest): FakeAnswer;
  /** What the kind says to a wrong key. */
  denied(): FakeAnswer;
  /** What the kind says to a request for a model that it does not have. */
  unknownModel(id: string): FakeAnswer;
  /** Name of a model as a request may spell it; undefined when there is none. Default: its id. */
  resolve?(id: string, models: readonly FakeModel[]): FakeModel | undefined;
}

/** OpenAI's error body, as most servers copy it. */
export function openAiError(status: number, message: string, type: string, code: string | number | null): FakeAnswer {
  return { status, body: { error: { message, type, param: null, code } } };
}
