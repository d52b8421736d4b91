/** What the load sends and the mock answers. */
export const model = "bench-model";
export const chunksPerStream = 50;
/** Between two events of a paced stream: a model that makes 100 tokens a second. */
export const pauseMs = 10;

/** Gateways may write JSON anew, with or without spaces. */
export const streamMarker = /"stream": ?true/;
/** In the message: gateways leave out fields that they don't know, and never change what people say. */
export const pacedMarker = /Take your time/;

/** 200 KB of prompt: a long conversation or a document. */
const promptBytes = 200_000;

export const chatAnswer = JSON.stringify({
  id: "chatcmpl-0123456789abcdef",
  object: "chat.completion",
  created: 1_700_000_000,
  model,
  choices: [
    { index: 0, message: { role: "assistant", content: "Paris is the capital of France." }, finish_reason: "stop" },
  ],
  usage: { prompt_tokens: 14, completion_tokens: 7, total_tokens: 21 },
});

/** An event of a stream. Its text is when it was sent, in microseconds: all have the same length. */
export function streamEvent(sentAt: number): string {
  const head = `{"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1700000000,"model":"${model}",`;
  const content = String(sentAt).padStart(16, "0");
  return `data: ${head}"choices":[{"index":0,"delta":{"content":"${content}"},"finish_reason":null}]}\n\n`;
}

/** When each event of a piece of a stream was sent. Gateways may write events anew; the text stays. */
export const sentAtPattern = /"content": ?"(\d{16})"/g;

export type BodyKind = "chat" | "stream" | "paced" | "prompt";

/** The request of a kind, for a gateway that calls the model `name`. */
export function requestBody(kind: BodyKind, name: string): string {
  const question = "What is the capital of France? Answer in one sentence.";
  const contents = { chat: question, stream: question, paced: `${question} Take your time.`, prompt: longPrompt() };
  const messages = [
    { role: "system", content: "You are a helpful assistant." },
    { role: "user", content: contents[kind] },
  ];
  const stream = kind === "stream" || kind === "paced" ? { stream: true } : {};
  return JSON.stringify({ model: name, messages, max_tokens: 64, ...stream });
}

/** Text as people write it, with quotes and line ends that JSON has to escape. */
function longPrompt(): string {
  const line = 'The committee wrote: "no gateway may lose a request", and everybody agreed on page 7.\n';
  return line.repeat(Math.ceil(promptBytes / JSON.stringify(line).length));
}
