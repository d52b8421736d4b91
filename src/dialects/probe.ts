import { type LookupAddress, lookup } from "node:dns";
import type { LookupFunction } from "node:net";
import { Agent, request } from "undici";
import { credentialHeaders } from "../contract/credential-headers.ts";
import { isForbiddenAddress } from "./forbidden-address.ts";

/** One answer of a server. Redirects are answers too: a probe follows none. */
export interface ProbeAnswer {
  readonly status: number;
  readonly text: string;
  /** The body as JSON; undefined when it is none, or too large to be read. */
  readonly json: unknown;
  /** Status, and what is odd about the body. For people. */
  readonly summary: string;
}

/** Why a server cannot be asked at all. */
export type ProbeFailureKind = "refused" | "timeout" | "broken" | "forbidden";

/**
 * The server cannot be asked: nobody listens, nobody answers in time, or the connection breaks. The message tells
 * clients nothing that they should not know; addresses are in the cause.
 */
export class ProbeFailure extends Error {
  readonly kind: ProbeFailureKind;

  constructor(kind: ProbeFailureKind, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "ProbeFailure";
    this.kind = kind;
  }
}

/**
 * One look at one server: asks it things, and the same thing only once. Everything is bounded: each answer in time and
 * bytes, the whole look in time. A probe asks for descriptions only; what makes a server work is not in its vocabulary.
 */
export interface Probe {
  readonly baseUrl: string;
  /**
   * `dialect`: the kind of server that the key is sent as to. Default: as a bearer token.
   * @throws ProbeFailure
   */
  get(path: string, dialect?: string): Promise<ProbeAnswer>;
  /** @throws ProbeFailure */
  post(path: string, body: object): Promise<ProbeAnswer>;
  /** Everything asked so far with what came of it, such as `GET /props: 404`. */
  readonly asked: readonly string[];
}

export interface ProbeLimits {
  /** For one answer, connecting included. Default 3 s. */
  readonly answerMs: number;
  /** For a whole look. Default 20 s: an Ollama with hundreds of models is asked about each. */
  readonly lookMs: number;
  /** Largest answer that is read. Default 4 MiB: the longest catalogues of hosted models are near 1 MiB. */
  readonly bytesMax: number;
}

export const defaultProbeLimits: ProbeLimits = { answerMs: 3_000, lookMs: 20_000, bytesMax: 4 * 1024 * 1024 };

/** Opens probes over shared connections. */
export interface ProbeClient {
  /** `key` goes along, to this server only. */
  open(baseUrl: string, key: string | undefined, signal?: AbortSignal): Probe;
  close(): Promise<void>;
}

export function createProbeClient(limits: ProbeLimits = defaultProbeLimits): ProbeClient {
  const agent = new Agent({
    connect: { timeout: limits.answerMs, lookup: guardedLookup },
    connections: 4,
    // Within one look connections are used again; between two looks the server may have been restarted.
    keepAliveTimeout: 500,
    keepAliveMaxTimeout: 500,
  });
  return {
    open(baseUrl, key, signal) {
      const deadline = AbortSignal.timeout(limits.lookMs);
      return new HttpProbe(baseUrl, key, {
        agent,
        limits,
        signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
      });
    },
    close: () => agent.destroy(),
  };
}

interface HttpProbeParts {
  readonly agent: Agent;
  readonly limits: ProbeLimits;
  readonly signal: AbortSignal;
}

interface Question {
  readonly dialect: string;
  readonly body?: string;
}

class HttpProbe implements Probe {
  readonly baseUrl: string;
  readonly asked: string[] = [];
  readonly #key: string | undefined;
  readonly #parts: HttpProbeParts;
  readonly #answers = new Map<string, Promise<ProbeAnswer>>();

  constructor(baseUrl: string, key: string | undefined, parts: HttpProbeParts) {
    this.baseUrl = baseUrl;
    this.#parts = parts;
    this.#key = key;
  }

  get(path: string, dialect = ""): Promise<ProbeAnswer> {
    const question = `${dialect} ${path}`;
    let answer = this.#answers.get(question);
    if (answer === undefined) {
      answer = this.#ask("GET", path, { dialect });
      this.#answers.set(question, answer);
    }
    return answer;
  }

  post(path: string, body: object): Promise<ProbeAnswer> {
    return this.#ask("POST", path, { dialect: "", body: JSON.stringify(body) });
  }

  async #ask(method: "GET" | "POST", path: string, { dialect, body }: Question): Promise<ProbeAnswer> {
    const { agent, limits, signal } = this.#parts;
    const timeout = AbortSignal.timeout(limits.answerMs);
    const name = `${method} ${path.split("?")[0]}`;
    try {
      const answer = await request(this.baseUrl + path, {
        method,
        headers: {
          accept: "application/json, */*;q=0.1",
          "user-agent": "nexus",
          ...credentialHeaders(dialect, this.#key),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        body: body ?? null,
        dispatcher: agent,
        signal: AbortSignal.any([timeout, signal]),
      });
      const bytes = await readBounded(answer.body, limits.bytesMax);
      const read = toAnswer(answer.statusCode, bytes, limits);
      this.asked.push(`${name}: ${read.summary}`);
      return read;
    } catch (error) {
      const failure = toFailure(error, timeout.aborted || signal.aborted);
      this.asked.push(`${name}: ${failure.message}`);
      throw failure;
    }
  }
}

/** The whole body, or undefined when it is larger. Leaving the loop early closes the connection. */
async function readBounded(body: AsyncIterable<Buffer>, bytesMax: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > bytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function toAnswer(status: number, bytes: Buffer | undefined, limits: ProbeLimits): ProbeAnswer {
  if (bytes === undefined) {
    const summary = `${status}, more than ${Math.floor(limits.bytesMax / 1024)} KiB`;
    return { status, text: "", json: undefined, summary };
  }
  const text = bytes.toString("utf8");
  const json = parseJson(text);
  return { status, text, json, summary: json === undefined && status === 200 ? `${status}, no JSON` : String(status) };
}

/** No description is nested deeper; what is would be read and could then not be written. */
const depthMax = 64;

function parseJson(text: string): unknown {
  try {
    return depthOf(text) > depthMax ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

/** How deep a JSON text is nested. Brackets in strings do not count. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    if (token === "[" || token === "{") deepest = Math.max(deepest, ++depth);
    else if (token === "]" || token === "}") depth -= 1;
  }
  return deepest;
}

function toFailure(error: unknown, isLate: boolean): ProbeFailure {
  if (error instanceof ProbeFailure) return error;
  const codes = codesOf(error);
  if (codes.includes("ENEXUSFORBIDDEN")) {
    return new ProbeFailure("forbidden", "its name leads to an address that Nexus never asks", error);
  }
  if (codes.includes("ECONNREFUSED")) return new ProbeFailure("refused", "refuses connections", error);
  if (isLate || codes.some((code) => code.includes("TIMEOUT") || code === "ETIMEDOUT")) {
    return new ProbeFailure("timeout", "does not answer in time", error);
  }
  const [code = "UNKNOWN"] = codes;
  return new ProbeFailure("broken", `the connection breaks (${code})`, error);
}

/** Codes of an error, of its causes and, where a name has several addresses, of each try. */
function codesOf(error: unknown, depth = 0): string[] {
  if (!(error instanceof Error) || depth > 3) return [];
  const code = (error as { code?: unknown }).code;
  const tries = error instanceof AggregateError ? error.errors.flatMap((each) => codesOf(each, depth + 1)) : [];
  return [...(typeof code === "string" ? [code] : []), ...tries, ...codesOf(error.cause, depth + 1)];
}

/** Checks addresses where they are used: a name that was harmless a moment ago may lead elsewhere now. */
const guardedLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    const [first] = addresses ?? [];
    if (error !== null || first === undefined) {
      callback(error ?? new Error(`${hostname} has no address`), "", 0);
    } else if (addresses.some(({ address }) => isForbiddenAddress(address))) {
      callback(Object.assign(new Error("forbidden address"), { code: "ENEXUSFORBIDDEN" }), "", 0);
    } else if (options.all === true) {
      callback(null, addresses);
    } else {
      callback(null, first.address, first.family);
    }
  });
};
