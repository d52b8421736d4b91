import { z } from "zod";
import { errorAnswerSchema } from "./answer-shapes.ts";
import { type Check, fail, mustBeStatus, mustMatch, parseJson, pass, skip, type Target } from "./check.ts";

const goingAway = 1001;
/** What lasts shorter may be over before anybody has looked. */
const sightMs = 250;

const runFileSchema = z.looseObject({ pid: z.int().positive(), url: z.url({ protocol: /^https?$/ }) });

/** What was seen of the end while an answer was under way. */
async function withAnswer(target: Target) {
  const { answer, saidDraining, refusal } = await target.drained();
  if (answer === undefined) skip("no answer was under way: every one came too soon");
  return { answer, saidDraining, refusal };
}

/** What only its process shows of a service; the last of all, as it is gone then. */
export const processChecks: readonly Check[] = [
  {
    id: "process.run-file",
    title: "A service that was started writes its pid and address to NEXUS_RUN_FILE",
    async run(target) {
      const read = target.process?.readRunFile ?? skip("it was started by somebody else");
      const text = (await read()) ?? fail("there is no such file");
      const { url } = mustMatch(runFileSchema, parseJson(text), "the run file");
      const { port } = new URL(target.probe.baseUrl);
      return new URL(url).port === port ? pass(url) : fail(`${url} is not where it listens`);
    },
  },
  {
    id: "drain.readiness",
    title: "On SIGTERM /readyz says draining, with 503, while an answer is under way",
    generates: true,
    async run(target) {
      const { saidDraining, answer } = await withAnswer(target);
      if (saidDraining) return pass();
      if (!answer.isWhole) skip("the answer under way was cut off");
      return answer.lastedMs < sightMs ? skip("the answer under way ended too soon to see it") : fail("it never did");
    },
  },
  {
    id: "drain.finishes",
    title: "An answer that is under way at SIGTERM is finished",
    generates: true,
    async run(target) {
      const { isWhole, said } = (await withAnswer(target)).answer;
      return isWhole ? pass(said) : fail(said);
    },
  },
  {
    id: "drain.refuses",
    title: "While it drains a service refuses new work with 503 in OpenAI's shape, with Retry-After",
    generates: true,
    async run(target) {
      const { refusal, saidDraining } = await withAnswer(target);
      if (!saidDraining) skip("it never said that it drains");
      if (refusal === undefined) return pass("it takes no connections");
      mustBeStatus(refusal, 503, "a request while it drains");
      const { error } = mustMatch(errorAnswerSchema, parseJson(refusal.text), "the error body");
      if (!refusal.headers.has("retry-after")) fail("there is no Retry-After");
      return error.code === "draining" ? pass() : fail(`the error's code is ${error.code ?? "missing"}`);
    },
  },
  {
    id: "drain.realtime",
    title: "On SIGTERM a conversation in which nothing is under way is closed with 1001",
    async run(target) {
      const { conversation } = await target.drained();
      if (conversation === undefined) skip("no conversations are held here");
      if (conversation === "open") fail("it was still open 10 s later");
      return conversation.code === goingAway ? pass() : fail(`it was closed with ${conversation.code}`);
    },
  },
  {
    id: "drain.exit",
    title: "After SIGTERM and its last answer the process ends by itself, with 0",
    async run(target) {
      const { exit } = await target.drained();
      if (exit === undefined) fail("it was still there 10 s later");
      if (exit.code === null) return pass(`after ${exit.afterMs} ms; its exit code cannot be seen`);
      return exit.code === 0 ? pass(`after ${exit.afterMs} ms`) : fail(`it ended with ${exit.code}`);
    },
  },
];
