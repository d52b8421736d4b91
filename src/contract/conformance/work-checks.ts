import { operationById, type RoutedOperationId } from "../operations.ts";
import { type Check, pass, serves, skip, type Target } from "./check.ts";
import { readyModel } from "./operation-checks.ts";
import { generateTimeoutMs } from "./probe.ts";
import { mustStopWorking, readSlotsActive, seenWorking, slotsBefore } from "./work-gauge.ts";

const task = "Write a very long story about a lighthouse.";
const tokensMax = 1_024;
const messages = [{ role: "user", content: task }];

/** Long work, not streamed: nothing is heard of it before its end, and its client's leaving is all that tells of that. */
const longWork: readonly (readonly [id: RoutedOperationId, fields: object])[] = [
  ["chat.completions.create", { messages, max_tokens: tokensMax }],
  ["completions.create", { prompt: task, max_tokens: tokensMax }],
  ["responses.create", { input: task, max_output_tokens: tokensMax, store: false }],
  ["messages.create", { messages, max_tokens: tokensMax }],
  ["embeddings.create", { input: Array.from({ length: 64 }, (_, index) => `${index} ${task}`) }],
  ["images.generate", { prompt: task, n: 1 }],
];

export const workChecks: readonly Check[] = [
  {
    id: "work.cancel",
    title: "A client that leaves before an answer that is not streamed ends the work for it within a second",
    generates: true,
    async run(target) {
      const metadata = await target.metadata();
      const served = longWork.filter(([id]) => serves(metadata, operationById(id)));
      if (served.length === 0) skip("the service serves nothing that takes long");
      if ((await readSlotsActive(target)) === undefined) skip("there is no gauge to see it by");
      const left: string[] = [];
      for (const [id, fields] of served) if (await leave(target, id, fields)) left.push(id);
      return left.length === 0 ? skip("every answer came too soon to leave it") : pass(left.join(", "));
    },
  },
];

/** Resolves to whether the work was caught before its answer. */
async function leave(target: Target, id: RoutedOperationId, fields: object): Promise<boolean> {
  const { model, path } = await readyModel(target, id);
  const before = (await slotsBefore(target)) ?? 0;
  const leaving = new AbortController();
  const body = { model: model.id, ...fields };
  const answer = target.probe.ask(path, { body, timeoutMs: generateTimeoutMs, signal: leaving.signal });
  const isAtWork = await seenWorking(target, before + 1, answer);
  leaving.abort();
  await answer.catch(() => {});
  if (isAtWork) await mustStopWorking(target, before);
  return isAtWork;
}
