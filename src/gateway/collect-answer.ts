import { NexusError } from "../base/errors.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/**
 * The whole body of an answer that is not passed on as it is.
 * @throws NexusError `backend_error` when it is larger, and what breaks the answer.
 */
export function collectAnswer(answer: UpstreamAnswer, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  answer.pipe({
    data(chunk) {
      bytes += chunk.length;
      if (bytes <= bytesMax) chunks.push(chunk);
      else reject(new NexusError("backend_error", "The instance's answer is too large.", { source: "service" }));
      return true;
    },
    end: () => resolve(Buffer.concat(chunks)),
    fail: reject,
  });
  return promise;
}
