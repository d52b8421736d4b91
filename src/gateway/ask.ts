import { crc32 } from "node:zlib";
import type { Operation } from "../contract/operations.ts";
import type { UsedAmounts } from "../keys/usage.ts";
import { askForUsage } from "../openai/count-stream.ts";
import { replaceFormModel, scanMultipart } from "../openai/scan-multipart.ts";
import { type RequestScan, replaceModel, scanRequest } from "../openai/scan-request.ts";
import type { Candidate } from "../routing/route-plan.ts";
import { translatorsFrom } from "../translate/compose-translations.ts";
import type { Translation, TranslationContext, Translator } from "../translate/translation.ts";

/** What an operation must say for the gateway to serve it, whether it is the contract's or only understood by the gateway. */
export type AskedOperation = Pick<
  Operation,
  | "id"
  | "method"
  | "path"
  | "domains"
  | "isModelOptional"
  | "body"
  | "idempotent"
  | "costly"
  | "firstTokenMs"
  | "streaming"
>;

/** One way to serve a request: as it is, or in the words of another operation. */
export interface Way {
  /** The operation that an instance is asked for. */
  readonly operationId: string;
  readonly contentType: string;
  /** The body for a model id; never the client's own object, so that the way can be taken again. */
  bodyFor(model: string): Buffer;
  /** The way back; undefined where the answer goes out as it came. */
  translation(): Translation | undefined;
  /** The same, where what was used is asked for too and kept from the client; undefined where that is no question. */
  readonly counting?: CountingWay | undefined;
}

/** A way that asks for more than the client did. Not every server takes it: then it is `plain` again. */
export interface CountingWay extends Way {
  readonly plain: Way;
}

export function isCounting(way: Way): way is CountingWay {
  return "plain" in way;
}

/** What a client asks of the fleet, read from its request. */
export interface Ask {
  readonly operation: AskedOperation;
  /** Empty while the client leaves it open: see `chooseModel`. */
  readonly model: string;
  readonly stream: boolean;
  readonly needs: Readonly<Record<string, boolean>>;
  /** The request as it is first, then translations. */
  readonly ways: readonly Way[];
  /** Length of the body that the client sent, in bytes. */
  readonly bytes: number;
  /** Length of the prompt where it is one text and nothing else, in bytes. */
  readonly promptBytes?: number | undefined;
  /** Requests with the same beginning share it: they go where that beginning is in the cache. */
  readonly prefixHash?: number | undefined;
  /** Tokens that the answer may have; undefined when the client leaves it open. */
  readonly answerTokensMax?: number | undefined;
  /** Which candidates of the plan will do; absent: all. */
  readonly suits?: ((candidate: Candidate) => boolean) | undefined;
  /** What it uses beside tokens. */
  readonly amounts?: UsedAmounts | undefined;
}

/**
 * Turns of one conversation begin alike; what differs between two conversations mostly comes within this many bytes.
 * Shorter prompts are read in no time, whoever reads them: they have no hash, so that it never changes as they grow.
 */
const prefixBytes = 1_024;

export interface AskSource {
  readonly operation: AskedOperation;
  readonly body: Buffer;
  /** Whether instances may offer the operation itself; false for what only the gateway understands. */
  readonly isNative: boolean;
  readonly translators: readonly Translator[];
  readonly context: TranslationContext;
}

/**
 * Reads a JSON request once. Translations are made when an instance is found that needs one.
 * @throws NexusError when the body is no such request.
 */
export function readJsonAsk(source: AskSource): Ask {
  const { operation, body, isNative } = source;
  if (isNative) {
    const scan = scanRequest(body, operation);
    const stream = scan.stream && operation.streaming;
    const ways = [new OwnWay(operation.id, body, scan), ...translatedWays(source)];
    return { ...askOf(operation, body, scan), stream, ways };
  }
  const ways = translatedWays(source);
  const [first] = ways;
  if (first === undefined) throw new RangeError(`nothing translates ${operation.id}`);
  return { ...askOf(operation, first.translation().body, first.scan()), ways };
}

function askOf(operation: AskedOperation, body: Buffer, scan: RequestScan): Omit<Ask, "ways"> {
  const { model, stream, needs, promptSpan, answerTokensMax, hasAttachments } = scan;
  return {
    operation,
    model,
    stream,
    needs,
    bytes: body.length,
    promptBytes:
      promptSpan === undefined || hasAttachments || !operation.domains.includes("chat")
        ? undefined
        : promptSpan.end - promptSpan.start,
    prefixHash: prefixHashOf(body, promptSpan),
    answerTokensMax,
  };
}

function prefixHashOf(body: Buffer, span: RequestScan["promptSpan"]): number | undefined {
  if (span === undefined || span.end - span.start < prefixBytes) return undefined;
  return crc32(body.subarray(span.start, span.start + prefixBytes));
}

/**
 * Reads a form with files in it. Forms are passed on as they are: nobody has another word for what they carry.
 * @throws NexusError when the body is no such form.
 */
export function readFormAsk(operation: AskedOperation, body: Buffer, contentType: string): Ask {
  const scan = scanMultipart(body, contentType, operation);
  const way: Way = {
    operationId: operation.id,
    contentType,
    bodyFor: (model) => replaceFormModel(body, scan, model),
    translation: () => undefined,
  };
  return { operation, model: scan.model, stream: scan.stream, needs: {}, ways: [way], bytes: body.length };
}

/** The request as it came. */
class OwnWay implements Way {
  readonly operationId: string;
  readonly contentType = "application/json";
  readonly #body: Buffer;
  readonly #scan: RequestScan;

  constructor(operationId: string, body: Buffer, scan: RequestScan) {
    this.operationId = operationId;
    this.#body = body;
    this.#scan = scan;
  }

  bodyFor(model: string): Buffer {
    return replaceModel(this.#body, this.#scan, model);
  }

  translation(): undefined {
    return undefined;
  }

  get counting(): CountingWay | undefined {
    const { stream, hasStreamOptions } = this.#scan;
    if (!stream || hasStreamOptions || !countedStreams.has(this.operationId)) return undefined;
    return {
      operationId: this.operationId,
      contentType: this.contentType,
      bodyFor: (model) => askForUsage(this.bodyFor(model)),
      translation: () => undefined,
      plain: this,
    };
  }
}

/** Operations whose streams say what was used only when they are asked. */
const countedStreams: ReadonlySet<string> = new Set(["chat.completions.create", "completions.create"]);

/** The body is parsed once, and only when somebody has to look into it. */
class ParsedBody {
  readonly #bytes: Buffer;
  #value: Readonly<Record<string, unknown>> | undefined;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get value(): Readonly<Record<string, unknown>> {
    this.#value ??= JSON.parse(this.#bytes.toString("utf8")) as Readonly<Record<string, unknown>>;
    return this.#value;
  }
}

function translatedWays({ operation, body, translators, context }: AskSource): readonly TranslatedWay[] {
  const request = new ParsedBody(body);
  return translatorsFrom(operation.id, translators)
    .filter(({ suits }) => suits === undefined || suits(request.value))
    .map((translator) => new TranslatedWay(translator, request, context));
}

/** In the words of another operation. Translated when an instance is found that needs it. */
class TranslatedWay implements Way {
  readonly operationId: string;
  readonly contentType = "application/json";
  readonly #translator: Translator;
  readonly #request: ParsedBody;
  readonly #context: TranslationContext;
  #translation: Translation | undefined;
  #scan: RequestScan | undefined;

  constructor(translator: Translator, request: ParsedBody, context: TranslationContext) {
    this.operationId = translator.to;
    this.#translator = translator;
    this.#request = request;
    this.#context = context;
  }

  bodyFor(model: string): Buffer {
    const { body, bodyFor } = this.translation();
    return bodyFor?.(model) ?? replaceModel(body, this.scan(), model);
  }

  translation(): Translation {
    this.#translation ??= this.#translator.translate(this.#request.value, this.#context);
    return this.#translation;
  }

  /** Of the translated body, read once. */
  scan(): RequestScan {
    this.#scan ??= scanRequest(this.translation().body);
    return this.#scan;
  }
}
