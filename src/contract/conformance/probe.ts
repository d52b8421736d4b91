/** What is asked; `body` is sent as JSON unless it is a string or a form, which go as they are. */
export interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object | string | FormData;
  /** Default 10 s; generating takes `generateTimeoutMs`. */
  readonly timeoutMs?: number;
  /** Leaves without waiting for the answer. */
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The same before it was read as UTF-8. */
  readonly bytes: Buffer;
  /** From asking to the last byte. */
  readonly durationMs: number;
}

/** An answer that is still coming. */
export interface OpenAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** Pieces as they come. Ends by itself, throws when the connection breaks. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Breaks the connection off, as a client that left. */
  close(): void;
}

/** The HTTP client of the checks: bounded in time and size, follows no redirect. */
export interface Probe {
  readonly baseUrl: string;
  readonly key: string | undefined;
  /** Ends the whole run. */
  readonly signal: AbortSignal;
  ask(path: string, asking?: Asking): Promise<Answer>;
  open(path: string, asking?: Asking): Promise<OpenAnswer>;
}

export interface ProbeOptions {
  readonly baseUrl: string;
  /** Sent as a bearer token. */
  readonly key?: string;
  readonly signal: AbortSignal;
  /** Default: the global one. */
  readonly fetch?: typeof fetch;
}

/** A small model on a busy CPU, with a model that has to be loaded first, answers one token within this. */
export const generateTimeoutMs = 120_000;
const describeTimeoutMs = 10_000;
/** More than metadata of 4,096 models takes. */
const answerBytesMax = 16 * 1024 * 1024;

export function createProbe(options: ProbeOptions): Probe {
  const baseUrl = options.baseUrl.replace(/\/+$/, "");
  const ask = options.fetch ?? fetch;

  const open = async (path: string, asking: Asking = {}): Promise<OpenAnswer> => {
    const closing = new AbortController();
    const timeout = AbortSignal.timeout(asking.timeoutMs ?? describeTimeoutMs);
    const { body } = asking;
    const response = await ask(`${baseUrl}${path}`, {
      method: asking.method ?? (body === undefined ? "GET" : "POST"),
      headers: {
        ...(body === undefined || body instanceof FormData ? {} : { "content-type": "application/json" }),
        ...(options.key === undefined ? {} : { authorization: `Bearer ${options.key}` }),
        ...asking.headers,
      },
      redirect: "manual",
      signal: AbortSignal.any([options.signal, timeout, closing.signal, ...(asking.signal ? [asking.signal] : [])]),
      ...(body === undefined ? {} : { body: encodeBody(body) }),
    });
    return {
      status: response.status,
      headers: response.headers,
      chunks: readBounded(response),
      close: () => closing.abort(),
    };
  };

  return {
    baseUrl,
    key: options.key,
    signal: options.signal,
    open,
    async ask(path, asking = {}) {
      const since = performance.now();
      const answer = await open(path, asking);
      const bytes = await readAll(answer);
      const text = bytes.toString("utf8");
      return { status: answer.status, headers: answer.headers, text, bytes, durationMs: performance.now() - since };
    },
  };
}

function encodeBody(body: object | string | FormData): string | FormData {
  return typeof body === "string" || body instanceof FormData ? body : JSON.stringify(body);
}

/** The rest of an answer. */
export async function readAll({ chunks }: Pick<OpenAnswer, "chunks">): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const chunk of chunks) pieces.push(chunk);
  return Buffer.concat(pieces);
}

async function* readBounded(response: Response): AsyncIterable<Uint8Array> {
  if (response.body === null) return;
  let length = 0;
  for await (const chunk of response.body) {
    length += chunk.byteLength;
    if (length > answerBytesMax) throw new Error(`the answer is longer than ${answerBytesMax} bytes`);
    yield chunk;
  }
}
