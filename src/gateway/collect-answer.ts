import { NexusError } from "../base/errors.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/**
 * The whole body of an answer that is not passed on as it is.
 * @throws NexusError `backend_error` when it is larger, and what breaks the answer.
 */
export function collectAnswer(answer: UpstreamAnswer, bytesMax: number): Promise<Buffer> {
  return collect(answer, bytesMax, () => {
    throw new NexusError("backend_error", "The instance's answer is too large.", { source: "service" });
  });
}

/** The beginning of a body of which that much is enough. @throws NexusError what breaks the answer. */
export function collectBeginning(answer: UpstreamAnswer, bytesMax: number): Promise<Buffer> {
  return collect(answer, bytesMax, () => {});
}

function collect(answer: UpstreamAnswer, bytesMax: number, onMore: () => void): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  answer.pipe({
    data(chunk) {
      bytes += chunk.length;
      try {
        if (bytes <= bytesMax) chunks.push(chunk);
        else onMore();
      } catch (error) {
        answer.discard();
        reject(error);
      }
      return true;
    },
    end: () => resolve(Buffer.concat(chunks)),
    fail: reject,
  });
  return promise;
}
