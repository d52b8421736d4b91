import type { RoutedOperationId } from "../operations.ts";
import { errorAnswerSchema } from "./answer-shapes.ts";
import {
  messageAnswerSchema,
  moderationAnswerSchema,
  ocrAnswerSchema,
  rerankAnswerSchema,
  responseAnswerSchema,
  type TypedEvent,
  tokenCountSchema,
  toolResultSchema,
} from "./api-shapes.ts";
import { askJson, type Check, fail, mustBeJson, mustBeStatus, mustMatch, pass, type Target } from "./check.ts";
import { readyModel } from "./operation-checks.ts";
import { generateTimeoutMs } from "./probe.ts";
import { samplePicture } from "./samples.ts";
import { joined, streamingModelFor, typedStream } from "./typed-stream.ts";

/** Asks an operation of a model that serves it; skips the check when there is none. */
async function ask(target: Target, id: RoutedOperationId, fields: object): Promise<unknown> {
  const { model, path } = await readyModel(target, id);
  const body = { model: model.id, ...fields };
  return await askJson(target, path, { method: "POST", body, timeoutMs: generateTimeoutMs });
}

const shortInput = { input: "Say hello.", max_output_tokens: 16, store: false };
const shortMessage = { messages: [{ role: "user", content: "Say hello." }], max_tokens: 8 };

/** Where the events of a stream must stand: each before the next, whatever lies between. */
function mustBeInOrder(events: readonly TypedEvent[], types: readonly string[]): void {
  let at = -1;
  for (const type of types) {
    const next = events.findIndex((event, index) => index > at && event.type === type);
    if (next < 0) fail(`${type} is missing, or comes too early`);
    at = next;
  }
}

const conversationChecks: readonly Check[] = [
  {
    id: "responses.answers",
    title: "A minimal response has OpenAI's shape, with usage",
    generates: true,
    async run(target) {
      const answer = await ask(target, "responses.create", shortInput);
      const { output, usage } = mustMatch(responseAnswerSchema, answer, "the response");
      if (output.length === 0) fail("`output` is empty");
      return pass(`${usage.output_tokens} tokens`);
    },
  },
  {
    id: "responses.stream",
    title: "A streamed response is numbered events in OpenAI's order, its text the sum of its deltas",
    generates: true,
    async run(target) {
      const { model, path } = await streamingModelFor(target, "responses.create");
      const last = ["response.completed", "response.incomplete"];
      const events = await typedStream(target, path, { model, stream: true, ...shortInput }, last);
      const stray = events.findIndex((event, index) => event.sequence_number !== index);
      if (stray >= 0) fail(`event ${stray} has the sequence_number ${String(events[stray]?.sequence_number)}`);
      if (events[0]?.type !== "response.created") fail(`the stream begins with ${events[0]?.type}`);
      const added = ["response.created", "response.output_item.added", "response.output_item.done"];
      mustBeInOrder(events, added);
      const said = joined(events, "response.output_text.delta", "delta");
      const whole = joined(events, "response.output_text.done", "text");
      if (said !== whole) fail("the text of response.output_text.done is not the sum of its deltas");
      mustMatch(responseAnswerSchema, events.at(-1)?.response, "the last event's response");
      return pass(`${events.length} events`);
    },
  },
  {
    id: "messages.answers",
    title: "A minimal message has Anthropic's shape, with usage",
    generates: true,
    async run(target) {
      const answer = mustMatch(messageAnswerSchema, await ask(target, "messages.create", shortMessage), "the message");
      if (answer.usage.input_tokens === 0) fail("`usage.input_tokens` is 0 for a prompt with words in it");
      return pass(`${answer.usage.output_tokens} tokens, ${answer.stop_reason}`);
    },
  },
  {
    id: "messages.stream",
    title: "A streamed message is named events in Anthropic's order",
    generates: true,
    async run(target) {
      const { model, path } = await streamingModelFor(target, "messages.create");
      const events = await typedStream(target, path, { model, stream: true, ...shortMessage }, ["message_stop"]);
      if (events[0]?.type !== "message_start") fail(`the stream begins with ${events[0]?.type}`);
      const order = ["message_start", "content_block_start", "content_block_delta", "content_block_stop"];
      mustBeInOrder(events, [...order, "message_delta", "message_stop"]);
      return pass(`${events.length} events`);
    },
  },
  {
    id: "messages.count-tokens",
    title: "Tokens are counted without generating, and more words are more tokens",
    async run(target) {
      const countOf = async (content: string): Promise<number> => {
        const fields = { messages: [{ role: "user", content }] };
        return mustMatch(tokenCountSchema, await ask(target, "messages.count_tokens", fields), "the count")
          .input_tokens;
      };
      const [few, many] = [await countOf("Hello."), await countOf("Hello, and good morning to all of you.")];
      return few < many ? pass(`${few}, ${many}`) : fail(`${few} tokens for one word, ${many} for eight`);
    },
  },
];

const judgementChecks: readonly Check[] = [
  {
    id: "moderations.answers",
    title: "Two texts get two judgements, in their order, with scores between 0 and 1",
    generates: true,
    async run(target) {
      const answer = await ask(target, "moderations.create", { input: ["I like cats.", "I like dogs."] });
      const { results } = mustMatch(moderationAnswerSchema, answer, "the answer");
      if (results.length !== 2) fail(`${results.length} judgements for two texts`);
      const scores = results.flatMap(({ category_scores: all }) => Object.values(all));
      const odd = scores.find((score) => score < 0 || score > 1);
      return odd === undefined ? pass(`${scores.length} scores`) : fail(`a score is ${odd}`);
    },
  },
  {
    id: "rerank.answers",
    title: "Every document is scored once, the most relevant first",
    generates: true,
    async run(target) {
      const documents = ["Bread is made of flour.", "Paris is the capital of France.", "Cats sleep a lot."];
      const answer = await ask(target, "rerank", { query: "What is the capital of France?", documents });
      const { results } = mustMatch(rerankAnswerSchema, answer, "the answer");
      const indexes = results.map(({ index }) => index);
      if ([...indexes].sort().join() !== "0,1,2") fail(`the indexes are ${indexes.join(", ")}`);
      const scores = results.map(({ relevance_score: score }) => score);
      if (scores.some((score, place) => score > (scores[place - 1] ?? score))) fail("the results are not in order");
      return pass(`best: ${indexes[0]}`);
    },
  },
  {
    id: "ocr.answers",
    title: "A picture is read as one page, and counted",
    generates: true,
    async run(target) {
      const url = `data:image/png;base64,${samplePicture().toString("base64")}`;
      const answer = await ask(target, "ocr", { document: { type: "image_url", image_url: url } });
      const { pages, usage_info: usage } = mustMatch(ocrAnswerSchema, answer, "the answer");
      if (usage.pages_processed !== pages.length) fail(`${usage.pages_processed} pages counted, ${pages.length} given`);
      return pages.length === 1 ? pass() : fail(`${pages.length} pages of one picture`);
    },
  },
  {
    id: "tools.answers",
    title: "A tool gives a result, or refuses arguments that it cannot take",
    generates: true,
    async run(target) {
      const { model, path } = await readyModel(target, "tools.call");
      const body = { model: model.id, arguments: {} };
      const answer = await target.probe.ask(path, { method: "POST", body, timeoutMs: generateTimeoutMs });
      const said = mustBeJson(answer, "the answer");
      if (answer.status === 400) {
        mustMatch(errorAnswerSchema, said, "the error body");
        return pass("without arguments it is refused");
      }
      mustBeStatus(answer, 200, `POST ${path}`);
      const { content } = mustMatch(toolResultSchema, said, "the result");
      return pass(`${content.length} pieces of content`);
    },
  },
];

/** Operations that read or write text, besides chats, completions and embeddings. */
export const textChecks: readonly Check[] = [...conversationChecks, ...judgementChecks];
