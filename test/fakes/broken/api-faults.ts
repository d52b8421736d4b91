import type { IncomingMessage } from "node:http";
import { type Fault, json, status, text } from "./fault.ts";

/** Requests to a path that do the work: those with a wrong model or a broken body are refused anyway. */
const to = (path: string, part = "") => {
  return (request: IncomingMessage, body: string) =>
    request.method === "POST" && request.url === path && body.includes(part) && !body.includes("no-such-model");
};
const streamed = '"stream":true';
const whole = (path: string) => (request: IncomingMessage, body: string) =>
  to(path)(request, body) && !body.includes(streamed) && body !== '{"model": ' && body !== "{}" && body !== "{";

const texts: readonly Fault[] = [
  {
    breaks: "responses.answers",
    defect: "its responses do not add up",
    concerns: whole("/v1/responses"),
    spoil: json((response) => {
      if (response.usage) response.usage.total_tokens += 1;
    }),
  },
  {
    breaks: "responses.stream",
    defect: "it numbers the events of a response from one",
    concerns: to("/v1/responses", streamed),
    spoil: text((stream) =>
      stream.replaceAll(/"sequence_number":(\d+)/g, (_, n) => `"sequence_number":${Number(n) + 1}`),
    ),
  },
  {
    breaks: "responses.stream",
    defect: "it loses a piece of a response",
    concerns: to("/v1/responses", streamed),
    spoil: text((stream) => stream.replace('"delta":" and"', '"delta":""')),
  },
  {
    breaks: "responses.stream",
    defect: "it ends a response without saying so",
    concerns: to("/v1/responses", streamed),
    spoil: text((stream) => stream.replace(/event: response\.(completed|incomplete)\n.*\n\n/, "")),
  },
  {
    breaks: "messages.answers",
    defect: "its messages have the shape of chats",
    concerns: whole("/v1/messages"),
    spoil: json((message) => ({ ...message, content: "Hello.", stop_reason: undefined })),
  },
  {
    breaks: "messages.stream",
    defect: "it names the events of a message otherwise",
    concerns: to("/v1/messages", streamed),
    spoil: text((stream) => stream.replaceAll("event: content_block_delta", "event: delta")),
  },
  {
    breaks: "messages.stream",
    defect: "it never closes the blocks of a message",
    concerns: to("/v1/messages", streamed),
    spoil: text((stream) => stream.replace(/event: content_block_stop\n.*\n\n/, "")),
  },
  {
    breaks: "messages.count-tokens",
    defect: "it counts one token for any text",
    concerns: whole("/v1/messages/count_tokens"),
    spoil: json(() => ({ input_tokens: 1 })),
  },
  {
    breaks: "moderations.answers",
    defect: "it judges the first text only",
    concerns: whole("/v1/moderations"),
    spoil: json((answer) => ({ ...answer, results: answer.results?.slice(0, 1) })),
  },
  {
    breaks: "rerank.answers",
    defect: "it leaves documents as they are",
    concerns: whole("/v1/rerank"),
    spoil: json((answer) => {
      answer.results?.reverse();
    }),
  },
  {
    breaks: "ocr.answers",
    defect: "it counts pages that it has not read",
    concerns: whole("/v1/ocr"),
    spoil: json((answer) => ({ ...answer, usage_info: { pages_processed: 7 } })),
  },
  {
    breaks: "tools.answers",
    defect: "it gives a tool's result as bare text",
    concerns: whole("/v1/tools/call"),
    spoil: json((answer) => ({ ...answer, content: "done" })),
  },
];

/** A text in the place of a picture. */
const noPicture = Buffer.from("no picture").toString("base64");
const withoutPicture = text((answer) => answer.replaceAll(/"b64_json":"[^"]*"/g, `"b64_json":"${noPicture}"`));
const hasFile = "filename=";

const media: readonly Fault[] = [
  {
    breaks: "images.answers",
    defect: "its pictures are none",
    concerns: whole("/v1/images/generations"),
    spoil: withoutPicture,
  },
  {
    breaks: "images.stream",
    defect: "it stops at the preview of a picture",
    concerns: to("/v1/images/generations", streamed),
    spoil: text((stream) => stream.replace(/event: image_generation\.completed\n.*\n\n/, "")),
  },
  {
    breaks: "images.edit",
    defect: "its changed pictures are none",
    concerns: to("/v1/images/edits", hasFile),
    spoil: withoutPicture,
  },
  {
    breaks: "images.variation",
    defect: "it takes no forms",
    concerns: to("/v1/images/variations", hasFile),
    spoil: status(415),
  },
  {
    breaks: "speech.answers",
    defect: "its sound is of another type than it says",
    concerns: to("/v1/audio/speech", '"input":"Hello."'),
    spoil: (answer) => {
      if (answer.headers["content-type"] === "audio/wav") answer.headers["content-type"] = "audio/flac";
    },
  },
  {
    breaks: "speech.answers",
    defect: "its sound is empty",
    concerns: to("/v1/audio/speech", '"input":"Hello."'),
    spoil: (answer) => {
      if (answer.headers["content-type"] === "audio/wav") answer.text = "";
    },
  },
  {
    breaks: "speech.stream",
    defect: "its sound has no end",
    concerns: to("/v1/audio/speech", '"stream_format":"sse"'),
    spoil: text((stream) => stream.replace(/event: speech\.audio\.done\n.*\n\n/, "")),
  },
  {
    breaks: "speech.cancel",
    defect: "it speaks on although nobody listens",
    concerns: to("/v1/audio/speech", "lazy dog"),
    worksOnMs: 2_000,
  },
  {
    breaks: "transcriptions.answers",
    defect: "it answers in JSON whatever the format",
    concerns: to("/v1/audio/transcriptions", 'name="response_format"'),
    spoil: (answer) => {
      answer.headers["content-type"] = "application/json";
    },
  },
  {
    breaks: "transcriptions.stream",
    defect: "it forgets a word of a streamed transcript",
    concerns: to("/v1/audio/transcriptions", 'name="stream"'),
    spoil: text((stream) => stream.replace('"delta":" and"', '"delta":""')),
  },
  {
    breaks: "translations.answers",
    defect: "its translations have no text",
    concerns: to("/v1/audio/translations", hasFile),
    spoil: json(() => ({ translation: "Hello." })),
  },
];

const below = (path: string, method: string) => (request: IncomingMessage) =>
  request.method === method && request.url?.startsWith(`${path}/`) === true && !request.url.includes("no-such-job");

const jobs: readonly Fault[] = [
  {
    breaks: "videos.job",
    defect: "it tells of another job than it was asked for",
    concerns: below("/v1/videos", "GET"),
    spoil: json((job) => ({ ...job, id: "video_of_somebody_else" })),
  },
  {
    breaks: "videos.job",
    defect: "it lists no jobs",
    concerns: (request) => request.method === "GET" && request.url === "/v1/videos",
    spoil: json((list) => ({ ...list, data: [] })),
  },
  {
    breaks: "music.job",
    defect: "its deleted jobs live on",
    concerns: below("/v1/music", "GET"),
    spoil: status(200),
  },
  {
    breaks: "videos.remix",
    defect: "a film that is made of a film is not to be found under its id",
    concerns: (request) => request.method === "POST" && request.url?.endsWith("/remix") === true,
    spoil: json((job) => ({ ...job, id: "video_of_somebody_else" })),
  },
  {
    breaks: "jobs.unknown",
    defect: "a job that nobody made is a failure of the server",
    concerns: (request) => request.url === "/v1/videos/no-such-job/content",
    spoil: status(500),
  },
];

/** At least one fault for each rule about what is asked for besides chats, completions and embeddings. */
export const apiFaults: readonly Fault[] = [...texts, ...media, ...jobs];
