import { randomBytes } from "node:crypto";
import { Template } from "@huggingface/jinja";
import { describeError, NexusError } from "nexus/base";
import type { LlamaModel, Token } from "node-llama-cpp";

/** A message as templates read it. */
export interface TemplateMessage {
  readonly role: string;
  readonly content: string;
  readonly name?: string;
  readonly tool_call_id?: string;
  readonly tool_calls?: readonly {
    readonly id: string;
    readonly type: "function";
    readonly function: { readonly name: string; readonly arguments: unknown };
  }[];
}

export interface Conversation {
  readonly messages: readonly TemplateMessage[];
  /** Tools for a template that shows them to its model. */
  readonly tools: readonly unknown[] | undefined;
}

type Tokenizer = Pick<LlamaModel, "tokenize" | "tokens">;

/**
 * A conversation in the model's own format, up to where its answer begins. Control tokens come from the template alone:
 * `<|im_end|>` in a message is text.
 * @throws NexusError `invalid_request` with the template's words when it refuses the conversation.
 */
export function renderChat(template: string, conversation: Conversation, model: Tokenizer): Token[] {
  refuseControlTokens(conversation, model);
  const text = render(template, conversation, model);
  const isHarmless = conversation.messages.every(({ content }) => !hasControlTokens(content, model));
  const tokens = isHarmless ? model.tokenize(text, true) : tokenizeApart(template, conversation, text, model);
  const { bos, shouldPrependBosToken } = model.tokens;
  return shouldPrependBosToken && bos !== null && tokens[0] !== bos ? [bos, ...tokens] : tokens;
}

function render(template: string, { messages, tools }: Conversation, model: Tokenizer): string {
  try {
    return new Template(template).render({
      messages,
      ...(tools === undefined ? {} : { tools }),
      add_generation_prompt: true,
      bos_token: model.tokens.bosString ?? "",
      eos_token: model.tokens.eosString ?? "",
    });
  } catch (error) {
    const reason = describeError(error).slice(0, 300);
    throw new NexusError("invalid_request", `The model's chat template refuses this conversation: ${reason}`, {
      param: "messages",
    });
  }
}

/** Tools and calls are woven into the template's own text: there, what people wrote cannot be told apart from it. */
function refuseControlTokens({ messages, tools }: Conversation, model: Tokenizer): void {
  const woven = [tools ?? [], ...messages.map(({ content: _, ...others }) => others)];
  if (hasControlTokens(JSON.stringify(woven), model)) throw unsafe("A tool or a tool call");
}

function unsafe(what: string): NexusError {
  return new NexusError(
    "invalid_request",
    `${what} holds the text of one of the model's control tokens, and its chat template cannot carry that safely.`,
    { param: "messages" },
  );
}

function hasControlTokens(text: string, model: Tokenizer): boolean {
  const plain = model.tokenize(text, false);
  const special = model.tokenize(text, true);
  return plain.length !== special.length || plain.some((token, index) => token !== special[index]);
}

/** Renders with marks in place of the contents, so that what people wrote is tokenised apart from the template. */
function tokenizeApart(template: string, conversation: Conversation, text: string, model: Tokenizer): Token[] {
  const nonce = randomBytes(8).toString("hex");
  const contents = conversation.messages.map(({ content }) => content);
  const messages = conversation.messages.map((message, index) => ({ ...message, content: `${nonce}-${index}-` }));
  const marked = render(template, { ...conversation, messages }, model).split(new RegExp(`${nonce}-(\\d+)-`));
  const pieces = marked.map((piece, index) => (index % 2 === 0 ? piece : (contents[Number(piece)] ?? "")));
  if (pieces.join("") !== text) throw unsafe("A message");
  return pieces.flatMap((piece, index) =>
    model.tokenize(piece, index % 2 === 0, index === 0 ? undefined : "trimLeadingSpace"),
  );
}
