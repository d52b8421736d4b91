import type { Operation } from "../contract/operations.ts";
import { replaceFormModel, scanMultipart } from "../openai/scan-multipart.ts";
import { replaceModel, scanRequest } from "../openai/scan-request.ts";
import { translatorsFrom } from "../translate/compose-translations.ts";
import type { Translation, TranslationContext, Translator } from "../translate/translation.ts";

/** What an operation must say for the gateway to serve it, whether it is the contract's or only understood by the gateway. */
export type AskedOperation = Pick<
  Operation,
  "id" | "method" | "path" | "domains" | "body" | "idempotent" | "costly" | "firstTokenMs" | "streaming"
>;

/** One way to serve a request: as it is, or in the words of another operation. */
export interface Way {
  /** The operation that an instance is asked for. */
  readonly operationId: string;
  readonly contentType: string;
  /** The body for a model id; never the client's own object, so that the way can be taken again. */
  bodyFor(model: string): Buffer;
  /** The way back; undefined where the answer goes out as it came. */
  readonly translation: () => Translation | undefined;
}

/** What a client asks of the fleet, read from its request. */
export interface Ask {
  readonly operation: AskedOperation;
  readonly model: string;
  readonly stream: boolean;
  readonly needs: Readonly<Record<string, boolean>>;
  /** The request as it is first, then translations. */
  readonly ways: readonly Way[];
  /** Length of the body that the client sent, in bytes. */
  readonly bytes: number;
}

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
    const scan = scanRequest(body);
    const own: Way = {
      operationId: operation.id,
      contentType: "application/json",
      bodyFor: (model) => replaceModel(body, scan, model),
      translation: () => undefined,
    };
    const stream = scan.stream && operation.streaming;
    const ways = translatedWays(source);
    return { operation, model: scan.model, stream, needs: { ...scan.needs }, ways: [own, ...ways], bytes: body.length };
  }
  const ways = translatedWays(source);
  const translation = ways[0]?.translation();
  if (translation === undefined) throw new RangeError(`nothing translates ${operation.id}`);
  const scan = scanRequest(translation.body);
  return { operation, model: scan.model, stream: scan.stream, needs: { ...scan.needs }, ways, bytes: body.length };
}

/**
 * Reads a form with files in it. Forms are passed on as they are: nobody has another word for what they carry.
 * @throws NexusError when the body is no such form.
 */
export function readFormAsk(operation: AskedOperation, body: Buffer, contentType: string): Ask {
  const scan = scanMultipart(body, contentType);
  const way: Way = {
    operationId: operation.id,
    contentType,
    bodyFor: (model) => replaceFormModel(body, scan, model),
    translation: () => undefined,
  };
  return { operation, model: scan.model, stream: scan.stream, needs: {}, ways: [way], bytes: body.length };
}

/** The body is parsed once, and only when somebody has to look into it. */
function translatedWays({ operation, body, translators, context }: AskSource): readonly Way[] {
  const request = once(() => JSON.parse(body.toString("utf8")) as Readonly<Record<string, unknown>>);
  return translatorsFrom(operation.id, translators)
    .filter(({ suits }) => suits === undefined || suits(request()))
    .map((translator) => translatedWay(translator, request, context));
}

function translatedWay(
  { to, translate }: Translator,
  request: () => Readonly<Record<string, unknown>>,
  context: TranslationContext,
): Way {
  const translation = once(() => translate(request(), context));
  return {
    operationId: to,
    contentType: "application/json",
    bodyFor(model) {
      const { body, bodyFor } = translation();
      return bodyFor?.(model) ?? replaceModel(body, scanRequest(body), model);
    },
    translation,
  };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
