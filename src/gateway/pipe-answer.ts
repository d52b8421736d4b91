import type { NexusError } from "../base/errors.ts";
import type { StreamEvent } from "../openai/stream-events.ts";
import type { ClientAnswer } from "./client-answer.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** Sees an answer as the client gets it. */
export interface AnswerObserver {
  event(event: StreamEvent): void;
  whole(body: Buffer): void;
}

/** Decides which bytes go out because of the backend's: whole events of a stream, or a whole body. */
export interface AnswerFraming {
  push(chunk: Buffer): Buffer;
  /** Ends the answer, or says in which way the backend left it unfinished. */
  end(): NexusError | undefined;
}

/**
 * Hands an answer to the client through a framing, at the speed at which the client reads.
 * @throws NexusError when the backend breaks off, stalls or says nonsense.
 */
export function pipeAnswer(answer: UpstreamAnswer, client: ClientAnswer, framing: AnswerFraming): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const resume = () => answer.resume();
  let hasFailed = false;
  answer.pipe({
    data(chunk) {
      if (hasFailed) return true;
      try {
        return client.write(framing.push(chunk), resume);
      } catch (error) {
        hasFailed = true;
        answer.discard();
        reject(error);
        return true;
      }
    },
    end() {
      // What was held may come with its end: nonsense is not ended as if it were whole.
      if (hasFailed) return;
      try {
        const failure = framing.end();
        if (failure === undefined) resolve();
        else reject(failure);
      } catch (error) {
        reject(error);
      }
    },
    fail: reject,
  });
  return promise;
}
