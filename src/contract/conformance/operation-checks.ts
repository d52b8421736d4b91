import { type OperationId, operationById } from "../operations.ts";
import { type ChatAnswer, chatAnswerSchema, completionAnswerSchema, embeddingAnswerSchema } from "./answer-shapes.ts";
import { askJson, type Check, fail, modelFor, mustMatch, parseJson, pass, serves, skip, type Target } from "./check.ts";
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

async function embed(target: Target, model: string, input: readonly string[]) {
  const { path } = operationById("embeddings.create");
  const asking = { body: { model, input }, method: "POST", timeoutMs: generateTimeoutMs };
  return mustMatch(embeddingAnswerSchema, await askJson(target, path, asking), "the embeddings' answer");
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
  {
    id: "features.embeddings-dim",
    title: "A declared embeddings_dim is the length of the vectors",
    generates: true,
    async run(target) {
      const { metadata } = await readyModel(target, "embeddings.create");
      const declared = metadata.models.filter((model) => model.domains.includes("embedding"));
      const model = declared.find(({ features }) => features.embeddings_dim !== undefined);
      if (model === undefined) skip("no model declares embeddings_dim");
      const { data } = await embed(target, model.id, ["a cat"]);
      const length = data[0]?.embedding.length;
      if (length !== model.features.embeddings_dim) {
        fail(`${model.id} declares ${model.features.embeddings_dim}, its vectors have ${length}`);
      }
      return pass(`${length}`);
    },
  },
  {
    id: "features.tools",
    title: "A model that declares tools calls the tool that the request demands",
    generates: true,
    async run(target) {
      const model = await declaring(target, "tools");
      const call = (await chat(target, model, toolDemand)).choices[0]?.message.tool_calls?.[0];
      if (call === undefined) fail(`${model} declares tools, but answered without the demanded call`);
      if (call.function.name !== toolName) fail(`${model} called ${call.function.name} instead of ${toolName}`);
      const given = parseJson(call.function.arguments);
      if (typeof given !== "object" || given === null) fail(`${model} gave arguments that are no JSON object`);
      return pass(model);
    },
  },
  {
    id: "features.json-schema",
    title: "A model that declares json_schema answers in the demanded schema",
    generates: true,
    async run(target) {
      const model = await declaring(target, "json_schema");
      const content = (await chat(target, model, schemaDemand)).choices[0]?.message.content ?? "";
      const value = parseJson(content);
      const colour = typeof value === "object" && value !== null ? (value as { colour?: unknown }).colour : undefined;
      if (!colours.some((one) => one === colour))
        fail(`${model} answered outside of the schema: ${content.slice(0, 80)}`);
      return pass(model);
    },
  },
];

const toolName = "set_colour";
const colours = ["red", "green"] as const;
const colourSchema = {
  type: "object",
  properties: { colour: { type: "string", enum: colours } },
  required: ["colour"],
  additionalProperties: false,
};
const question = [{ role: "user", content: "Which colour does grass have, red or green?" }];
const toolDemand = {
  messages: question,
  max_tokens: 64,
  tools: [{ type: "function", function: { name: toolName, description: "Sets a colour.", parameters: colourSchema } }],
  tool_choice: { type: "function", function: { name: toolName } },
};
const schemaDemand = {
  messages: question,
  max_tokens: 64,
  response_format: { type: "json_schema", json_schema: { name: "colour", strict: true, schema: colourSchema } },
};

/** A chat model that declares the feature, loaded ones first; skips when there is none. */
async function declaring(target: Target, feature: "tools" | "json_schema"): Promise<string> {
  const { metadata } = await readyModel(target, "chat.completions.create");
  const fitting = metadata.models.filter(({ domains, features }) => domains.includes("chat") && features[feature]);
  const model = fitting.find(({ state }) => state === "loaded") ?? fitting[0];
  return model?.id ?? skip(`no model declares ${feature}`);
}
