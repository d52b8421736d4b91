import { type ErrorCode, NexusError } from "../base/errors.ts";
import { readBackendError } from "../openai/backend-error.ts";
import { canContinue, continueRequest } from "../openai/continue-stream.ts";
import type { Candidate } from "../routing/route-plan.ts";
import type { Ask, Way } from "./ask.ts";
import type { ClientAnswer } from "./client-answer.ts";
import { collectBeginning } from "./collect-answer.ts";
import { type Begun, dispatch } from "./dispatch.ts";
import type { Exchange } from "./exchange.ts";
import { httpOpener } from "./http-opener.ts";
import type { AnswerObserver } from "./pipe-answer.ts";
import type { Question } from "./plan-request.ts";
import { relayBody } from "./relay-answer.ts";
import { StreamRelay } from "./stream-relay.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

type HttpBegun = Begun<UpstreamAnswer>;

/**
 * Passes on what an instance has begun to answer. A stream that is cut goes on elsewhere, where the route allows it; a
 * whole answer that broke before the client had any of it is asked for again.
 * @throws NexusError when the answer broke and could not be mended.
 */
export async function answerRequest(
  begun: HttpBegun,
  question: Question,
  client: ClientAnswer,
  observer: AnswerObserver | undefined,
): Promise<void> {
  const answering = new Answering(question, client, observer);
  for (let next = begun; ; ) {
    const leg = next;
    try {
      await answering.pass(leg);
      leg.succeed();
      return;
    } catch (error) {
      if (error instanceof NexusError && error.source === "service") leg.breakOff(error.message);
      leg.withdraw();
      next = await answering.goElsewhere(leg, error);
    } finally {
      // Nothing where it has ended; else its slot and its connection would be held for ever.
      leg.answer.discard();
      leg.withdraw();
    }
  }
}

/** The answer to one request, from as many instances as it takes. */
class Answering {
  readonly #question: Question;
  readonly #client: ClientAnswer;
  readonly #observer: AnswerObserver | undefined;
  #stream: StreamRelay | undefined;
  /** Instances that broke it off: it never comes back to one. */
  readonly #lost = new Set<string>();

  constructor(question: Question, client: ClientAnswer, observer: AnswerObserver | undefined) {
    this.#question = question;
    this.#client = client;
    this.#observer = observer;
  }

  /** @throws NexusError of the service when it broke off, or said nonsense. */
  pass({ answer, way }: HttpBegun): Promise<void> {
    const { exchange, ask } = this.#question;
    const [client, observer] = [this.#client, this.#observer];
    if (answer.status >= 300) return relayRefusal(exchange, answer, client);
    const contentType = answer.headers["content-type"] ?? "application/json";
    if (!contentType.startsWith("text/event-stream")) {
      return relayBody({ exchange, answer, client, way, observer, ask }, contentType);
    }
    const mayContinue = exchange.plan?.route?.continueStreams === true;
    this.#stream ??= new StreamRelay(
      { exchange, client, way, observer, mayContinue, promptBytes: ask.bytes },
      contentType,
    );
    return this.#stream.pass(answer);
  }

  /** Asks another instance for the rest, or for all of it. @throws `error`, what broke it, when nobody can. */
  async goElsewhere(leg: HttpBegun, error: unknown): Promise<HttpBegun> {
    const { exchange, parts } = this.#question;
    const lostKey = leg.candidate.key;
    this.#lost.add(lostKey);
    const isBroken = error instanceof NexusError && brokenCodes.has(error.code);
    if (!isBroken || exchange.signal.aborted) throw error;
    const rest = this.#restAfter(leg);
    if (rest === undefined) throw error;
    if (this.#lost.size >= parts.settings.retry.attemptsMax) {
      this.#note(`${this.#lost.size} instances have broken it off`);
      throw error;
    }
    const giveBack = parts.retryBudget.tryRetry();
    if (giveBack === undefined) {
      this.#note("too many requests are being repeated just now");
      throw error;
    }
    const restQuestion = { ...this.#question, ask: rest };
    try {
      const next = await dispatch(restQuestion, httpOpener(restQuestion), () => {});
      const nextKey = next.candidate.key;
      if (this.#stream === undefined) exchange.notes.push(`asked again: ${lostKey} broke off, ${nextKey} took over`);
      else if (next.answer.status < 300) exchange.notes.push(this.#continued(lostKey, nextKey));
      else {
        next.answer.discard();
        next.withdraw();
        throw error;
      }
      return next;
    } catch {
      this.#note("no other instance can go on with it");
      throw error;
    } finally {
      giveBack();
    }
  }

  /** What is to be asked of another instance; undefined where an answer that has broken off stays broken. */
  #restAfter(leg: HttpBegun): Ask | undefined {
    const { ask } = this.#question;
    const stream = this.#stream;
    const suits = (candidate: Candidate) => !this.#lost.has(candidate.key) && ask.suits?.(candidate) !== false;
    if (stream !== undefined) return this.#restOfStream(leg, stream, suits);
    // Minutes of a GPU or money are not spent twice.
    return this.#client.isOpen || ask.operation.costly ? undefined : { ...ask, suits };
  }

  #restOfStream(
    { candidate, way }: HttpBegun,
    { soFar }: StreamRelay,
    suits: (candidate: Candidate) => boolean,
  ): Ask | undefined {
    if (soFar === undefined) return undefined;
    const { id } = candidate.model;
    const rest = continueRequest(way.bodyFor(id), soFar);
    if ("refusal" in rest) {
      this.#note(rest.refusal);
      return undefined;
    }
    const only: Way = {
      operationId: way.operationId,
      contentType: way.contentType,
      bodyFor: (model) => (model === id ? rest.body : way.bodyFor(model)),
      translation: () => way.translation(),
    };
    return {
      ...this.#question.ask,
      ways: [only],
      suits: (other) => suits(other) && canContinue(other.record.dialect) && other.model.id === id,
    };
  }

  #continued(lostKey: string, nextKey: string): string {
    return `continued: ${lostKey} was lost after ${this.#stream?.soFar?.tokens} tokens, ${nextKey} went on`;
  }

  #note(reason: string): void {
    const { notes } = this.#question.exchange;
    notes.push(`${this.#stream === undefined ? "not asked again" : "not continued"}: ${reason}`);
  }
}

/** An instance that broke off or fell silent may have died. One that said nonsense would say it again. */
const brokenCodes: ReadonlySet<string> = new Set<ErrorCode>(["backend_disconnected", "stall_timeout"]);

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
