import { errorAnswerSchema } from "./answer-shapes.ts";
import { type Check, fail, mustBeJson, mustBeStatus, mustMatch, parseJson, pass, skip, type Target } from "./check.ts";
import { chat, embed, measurePrompts, promptOf, readyModel, tokensPerWordMin, wordsFor } from "./operation-checks.ts";
import { generateTimeoutMs } from "./probe.ts";
import { samplePicture } from "./samples.ts";

/** Longer prompts take minutes on a CPU: of a longer window only this much is tried out. */
const triedTokensMax = 4_096;
/** A window that is longer than this is not filled to see that it ends. */
const overfilledTokensMax = 131_072;

/** A chat model whose window is declared, and how its prompts are counted. */
async function windowed(target: Target) {
  const { metadata, path } = await readyModel(target, "chat.completions.create");
  const declared = metadata.models.filter((model) => model.domains.includes("chat") && model.context_window !== null);
  const model = declared.find(({ state }) => state === "loaded") ?? declared[0];
  if (model === undefined) skip("no model declares context_window");
  const counting = await measurePrompts(target, model.id);
  if (counting.perWord < tokensPerWordMin) skip("the tokens of prompts are not counted");
  return { id: model.id, window: model.context_window ?? 0, counting, path };
}

/** What a model declares of itself, tried out. */
export const featureChecks: readonly Check[] = [
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
  {
    id: "features.vision",
    title: "A model that declares vision takes a picture, and counts it",
    generates: true,
    async run(target) {
      const model = await declaring(target, "vision");
      const url = `data:image/png;base64,${samplePicture().toString("base64")}`;
      const text = { type: "text", text: "Which colour is this?" };
      const seen = await chat(target, model, {
        messages: [{ role: "user", content: [text, { type: "image_url", image_url: { url } }] }],
      });
      const blind = await chat(target, model, { messages: [{ role: "user", content: [text] }] });
      const [withIt, without] = [seen.usage.prompt_tokens, blind.usage.prompt_tokens];
      if (withIt <= without) fail(`${model} counts ${withIt} tokens with a picture and ${without} without`);
      return pass(`${model}, ${withIt - without} tokens`);
    },
  },
  {
    id: "features.context-window",
    title: "A prompt that fits into a declared context_window is read whole",
    generates: true,
    async run(target) {
      const { id, window, counting } = await windowed(target);
      const wanted = Math.floor(Math.min(window, triedTokensMax) * 0.9);
      const messages = promptOf(wordsFor(wanted, counting));
      const { usage } = await chat(target, id, { messages, max_tokens: 1 });
      // Words at the end of a line of them may be joined otherwise than those that were measured.
      if (usage.prompt_tokens < wanted * 0.8) fail(`${usage.prompt_tokens} of about ${wanted} tokens were read`);
      return pass(`${usage.prompt_tokens} of ${window} tokens`);
    },
  },
  {
    id: "errors.context-length",
    title: "A prompt that does not fit into a declared context_window is 400 `context_length_exceeded`",
    generates: true,
    async run(target) {
      const { id, window, counting, path } = await windowed(target);
      if (window > overfilledTokensMax) skip(`${window} tokens are too many to try`);
      const body = { model: id, messages: promptOf(wordsFor(window * 1.25, counting)), max_tokens: 1 };
      const answer = await target.probe.ask(path, { body, timeoutMs: generateTimeoutMs });
      mustBeStatus(answer, 400, "a prompt that is too long");
      const { error } = mustMatch(errorAnswerSchema, mustBeJson(answer, path), "the error body");
      return error.code === "context_length_exceeded" ? pass() : fail(`the error's code is ${error.code ?? "missing"}`);
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
async function declaring(target: Target, feature: "tools" | "json_schema" | "vision"): Promise<string> {
  const { metadata } = await readyModel(target, "chat.completions.create");
  const fitting = metadata.models.filter(({ domains, features }) => domains.includes("chat") && features[feature]);
  const model = fitting.find(({ state }) => state === "loaded") ?? fitting[0];
  return model?.id ?? skip(`no model declares ${feature}`);
}
