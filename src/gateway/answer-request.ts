import { NexusError } from "../base/errors.ts";
import { readBackendError } from "../openai/backend-error.ts";
import { canContinue, continueRequest } from "../openai/continue-stream.ts";
import type { Ask, Way } from "./ask.ts";
import type { ClientAnswer } from "./client-answer.ts";
import { collectBeginning } from "./collect-answer.ts";
import { type Begun, dispatch, httpOpener, type Question } from "./dispatch.ts";
import type { Exchange } from "./exchange.ts";
import type { AnswerObserver } from "./pipe-answer.ts";
import { relayBody } from "./relay-answer.ts";
import { StreamRelay } from "./stream-relay.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

type HttpBegun = Begun<UpstreamAnswer>;

/**
 * Passes on what an instance has begun to answer. A stream that is cut goes on elsewhere, where the route allows it.
 * @throws NexusError when the answer broke and could not be mended.
 */
export async function answerRequest(
  begun: HttpBegun,
  question: Question,
  client: ClientAnswer,
  observer: AnswerObserver | undefined,
): Promise<void> {
  const { exchange } = question;
  const { answer, way } = begun;
  const contentType = answer.headers["content-type"] ?? "application/json";
  if (answer.status >= 300) return await held(begun, () => relayRefusal(exchange, answer, client));
  if (!contentType.startsWith("text/event-stream")) {
    return await held(begun, () =>
      relayBody({ exchange, answer, client, way, observer, ask: question.ask }, contentType),
    );
  }
  const mayContinue = exchange.plan?.route?.continueStreams === true;
  const relay = new StreamRelay(
    { exchange, client, way, observer, mayContinue, promptBytes: question.ask.bytes },
    contentType,
  );
  const lost = new Set<string>();
  for (let leg: HttpBegun | undefined = begun; leg !== undefined; ) {
    const current: HttpBegun = leg;
    leg = undefined;
    try {
      await held(current, () => relay.pass(current.answer));
    } catch (error) {
      lost.add(current.candidate.key);
      leg = await continueElsewhere({ current, lost, relay }, question, error);
    }
  }
}

/** Holds the instance until the answer has ended, and says how. */
async function held(begun: HttpBegun, pass: () => Promise<void>): Promise<void> {
  try {
    await pass();
    begun.succeed();
  } catch (error) {
    if (error instanceof NexusError && error.source === "service") begun.breakOff(error.message);
    throw error;
  } finally {
    begun.withdraw();
  }
}

/** A stream that was cut. */
interface CutStream {
  readonly current: HttpBegun;
  /** Instances that cut it, the present one among them: it never comes back to one. */
  readonly lost: ReadonlySet<string>;
  readonly relay: StreamRelay;
}

/** Asks another instance for the rest. @throws `error`, what cut the stream, when there can be no rest. */
async function continueElsewhere(
  { current: { candidate, way }, lost, relay: { soFar } }: CutStream,
  question: Question,
  error: unknown,
): Promise<HttpBegun> {
  const { exchange, ask, parts } = question;
  const isCut = error instanceof NexusError && error.source === "service";
  if (!isCut || soFar === undefined || exchange.signal.aborted) throw error;
  if (lost.size >= parts.settings.retry.attemptsMax) {
    exchange.notes.push(`not continued: ${lost.size} instances have cut it`);
    throw error;
  }
  const rest = continueRequest(way.bodyFor(candidate.model.id), soFar);
  if ("refusal" in rest) {
    exchange.notes.push(`not continued: ${rest.refusal}`);
    throw error;
  }
  const only: Way = { ...way, bodyFor: (model) => (model === candidate.model.id ? rest.body : way.bodyFor(model)) };
  const restAsk: Ask = {
    ...ask,
    ways: [only],
    suits: ({ key, record, model }) => !lost.has(key) && canContinue(record.dialect) && model.id === candidate.model.id,
  };
  const restQuestion = { ...question, ask: restAsk };
  try {
    const next = await dispatch(restQuestion, httpOpener(restQuestion), async () => {});
    if (next.answer.status >= 300) {
      next.answer.discard();
      next.withdraw();
      throw error;
    }
    exchange.notes.push(
      `continued: ${candidate.key} was lost after ${soFar.tokens} tokens, ${next.candidate.key} went on`,
    );
    return next;
  } catch {
    exchange.notes.push("not continued: no other instance can go on with it");
    throw error;
  }
}

/** Errors that the backend has with the request itself, in the client's shape whatever shape they came in. */
async function relayRefusal(exchange: Exchange, answer: UpstreamAnswer, client: ClientAnswer): Promise<void> {
  const body = await collectBeginning(answer, errorBodyBytesMax);
  const said = readBackendError(body, answer.status);
  // Nobody asked for a redirection, and 304 has no body to say so in: what is no error of the client's is the service's.
  if (answer.status >= 400 && answer.status < 500) {
    client.failWith(answer.status, said);
    return;
  }
  exchange.errorDetail = said.error.message;
  client.fail(
    new NexusError("backend_error", `The service failed with status ${answer.status}.`, { source: "service" }),
  );
}

const errorBodyBytesMax = 64 * 1024;
