import { type OperationId, operationById } from "../operations.ts";
import { type ChatAnswer, chatAnswerSchema, completionAnswerSchema, embeddingAnswerSchema } from "./answer-shapes.ts";
import { askJson, type Check, fail, modelFor, mustMatch, pass, serves, skip, type Target } from "./check.ts";
import { generateTimeoutMs } from "./probe.ts";

/** A model for an operation that the service serves right now, or the check is skipped. */
export async function readyModel(target: Target, id: OperationId) {
  const metadata = await target.metadata();
  const operation = operationById(id);
  if (!serves(metadata, operation)) skip(`${id} is not served`);
  await target.mustBeReady();
  return { metadata, model: modelFor(metadata, operation), path: operation.path };
}

const greeting = [{ role: "user", content: "Say hello." }];

/** A chat of a few tokens; `fields` are added to the request. */
export async function chat(
  target: Target,
  model: string,
  fields: object = {},
  timeoutMs = generateTimeoutMs,
): Promise<ChatAnswer> {
  const body = { model, messages: greeting, max_tokens: 8, temperature: 0, ...fields };
  const { path } = operationById("chat.completions.create");
  const answer = await askJson(target, path, { body, method: "POST", timeoutMs });
  return mustMatch(chatAnswerSchema, answer, "the chat's answer");
}

export async function embed(target: Target, model: string, input: readonly string[]) {
  const { path } = operationById("embeddings.create");
  const asking = { body: { model, input }, method: "POST", timeoutMs: generateTimeoutMs };
  return mustMatch(embeddingAnswerSchema, await askJson(target, path, asking), "the embeddings' answer");
}

const fewWords = 20;
const moreWords = 120;
/** Models for languages and bytes have one token a word or more; some join a few of the commonest. */
export const tokensPerWordMin = 0.5;
const commonWords = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "two", "dogs", "run", "by"];

/** A prompt of so many common words. */
export function promptOf(words: number): readonly object[] {
  const text = Array.from({ length: words }, (_, index) => commonWords[index % commonWords.length]).join(" ");
  return [{ role: "user", content: text }];
}

/** How a model's prompts are counted: the tokens of a short one, and those of each further word. */
export async function measurePrompts(target: Target, model: string): Promise<{ few: number; perWord: number }> {
  const tokensOf = async (words: number): Promise<number> =>
    (await chat(target, model, { messages: promptOf(words), max_tokens: 1 })).usage.prompt_tokens;
  const [few, more] = [await tokensOf(fewWords), await tokensOf(moreWords)];
  return { few, perWord: (more - few) / (moreWords - fewWords) };
}

/** Words of a prompt that has about so many tokens. */
export function wordsFor(tokens: number, { few, perWord }: { few: number; perWord: number }): number {
  return Math.max(1, Math.floor(fewWords + (tokens - few) / perWord));
}

export const operationChecks: readonly Check[] = [
  {
    id: "chat.answers",
    title: "A minimal chat is answered in OpenAI's shape, with usage",
    generates: true,
    async run(target) {
      const { model } = await readyModel(target, "chat.completions.create");
      const answer = await chat(target, model.id);
      if (answer.choices[0]?.message.content == null) fail("the message has no content");
      if (answer.usage.prompt_tokens === 0) fail("`usage.prompt_tokens` is 0 for a prompt with words in it");
      return pass(`${model.id}, ${answer.usage.completion_tokens} tokens`);
    },
  },
  {
    id: "chat.usage",
    title: "usage.prompt_tokens grows with the prompt",
    generates: true,
    async run(target) {
      const { model } = await readyModel(target, "chat.completions.create");
      const { few, perWord } = await measurePrompts(target, model.id);
      const shown = `${few} tokens for ${fewWords} words, ${perWord.toFixed(2)} for each further one`;
      return perWord >= tokensPerWordMin ? pass(shown) : fail(shown);
    },
  },
  {
    id: "chat.max-tokens",
    title: "max_tokens is held, and the answer says that it was cut by it",
    generates: true,
    async run(target) {
      const { model } = await readyModel(target, "chat.completions.create");
      const messages = [{ role: "user", content: "Count from one to one hundred in words." }];
      const answer = await chat(target, model.id, { messages, max_tokens: 4 });
      const tokens = answer.usage.completion_tokens;
      if (tokens > 4) fail(`${tokens} tokens with \`max_tokens\` 4`);
      const reason = answer.choices[0]?.finish_reason;
      // A model that has said all within its tokens may stop by itself.
      if (tokens === 4 && reason !== "length" && reason !== "stop") fail(`cut at 4 tokens with ${reason}`);
      return pass(`${tokens} tokens, ${reason}`);
    },
  },
  {
    id: "completions.answers",
    title: "A minimal completion is answered in OpenAI's shape, with usage",
    generates: true,
    async run(target) {
      const { model, path } = await readyModel(target, "completions.create");
      const body = { model: model.id, prompt: "Once upon a time", max_tokens: 8, temperature: 0 };
      const answer = await askJson(target, path, { body, method: "POST", timeoutMs: generateTimeoutMs });
      mustMatch(completionAnswerSchema, answer, "the completion's answer");
      return pass(model.id);
    },
  },
  {
    id: "embeddings.answers",
    title: "Two texts become two vectors of one length, in their order",
    generates: true,
    async run(target) {
      const { model } = await readyModel(target, "embeddings.create");
      const { data } = await embed(target, model.id, ["a cat", "the theory of relativity"]);
      if (data.length !== 2) fail(`${data.length} vectors for two texts`);
      if (data.some(({ index }, position) => index !== position)) fail("the vectors' indexes are not 0 and 1");
      const lengths = new Set(data.map(({ embedding }) => embedding.length));
      if (lengths.size !== 1) fail(`vectors of lengths ${[...lengths].join(" and ")}`);
      return pass(`${model.id}, ${[...lengths][0]} numbers`);
    },
  },
];
