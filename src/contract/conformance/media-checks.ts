import { operationById, type RoutedOperationId } from "../operations.ts";
import { errorAnswerSchema } from "./answer-shapes.ts";
import { deletedJobSchema, imagesAnswerSchema, jobSchema, transcriptSchema } from "./api-shapes.ts";
import {
  askJson,
  type Check,
  fail,
  mustBeJson,
  mustBeStatus,
  mustMatch,
  type Outcome,
  pass,
  skip,
  type Target,
} from "./check.ts";
import { readyModel } from "./operation-checks.ts";
import { generateTimeoutMs } from "./probe.ts";
import { form, isPicture, looksLike, samplePicture, sampleSound } from "./samples.ts";
import { slotsMax } from "./stream-checks.ts";
import { joined, streamingModelFor, typedStream } from "./typed-stream.ts";
import { mustStopWorking, slotsBefore } from "./work-gauge.ts";

/** Pictures take minutes on a CPU. */
const pictureTimeoutMs = 600_000;

const soundFile = () => ({ file: [sampleSound(), "sample.wav"] as const });
const pictureFile = () => ({ image: [new Blob([samplePicture()], { type: "image/png" }), "sample.png"] as const });

/** Asks for pictures and expects them in the answer, or behind its links. */
async function mustGivePictures(target: Target, path: string, body: object): Promise<Outcome> {
  const answer = await askJson(target, path, { method: "POST", body, timeoutMs: pictureTimeoutMs });
  const { data } = mustMatch(imagesAnswerSchema, answer, "the answer");
  if (data.length !== 1) fail(`${data.length} pictures instead of one`);
  const [{ b64_json: encoded, url } = {}] = data;
  if (encoded === undefined)
    return url === undefined ? fail("there is neither b64_json nor url") : pass(url.slice(0, 80));
  const picture = Buffer.from(encoded, "base64");
  return isPicture(picture) ? pass(`${picture.length} bytes`) : fail("b64_json is no PNG, JPEG or WebP");
}

const pictureChecks: readonly Check[] = [
  {
    id: "images.answers",
    title: "A text becomes one picture",
    generates: true,
    async run(target) {
      const { model, path } = await readyModel(target, "images.generate");
      return await mustGivePictures(target, path, { model: model.id, prompt: "A grey square.", n: 1 });
    },
  },
  {
    id: "images.stream",
    title: "A streamed picture ends with the whole of it",
    generates: true,
    async run(target) {
      const { model, path } = await streamingModelFor(target, "images.generate");
      const body = { model, prompt: "A grey square.", stream: true, partial_images: 1 };
      const events = await typedStream(target, path, body, ["image_generation.completed"]);
      const picture = Buffer.from(String(events.at(-1)?.b64_json ?? ""), "base64");
      return isPicture(picture) ? pass(`${events.length} events`) : fail("b64_json is no PNG, JPEG or WebP");
    },
  },
  {
    id: "images.edit",
    title: "A picture and a text become one picture",
    generates: true,
    async run(target) {
      const { model, path } = await readyModel(target, "images.edit");
      const body = form({ model: model.id, prompt: "Make it darker." }, pictureFile());
      return await mustGivePictures(target, path, body);
    },
  },
  {
    id: "images.variation",
    title: "A picture becomes one like it",
    generates: true,
    async run(target) {
      const { model, path } = await readyModel(target, "images.create_variation");
      return await mustGivePictures(target, path, form({ model: model.id }, pictureFile()));
    },
  },
];

const sentence = "The quick brown fox jumps over the lazy dog.";

const soundChecks: readonly Check[] = [
  {
    id: "speech.answers",
    title: "A text becomes sound of the media type that the answer says",
    generates: true,
    async run(target) {
      const { model, path } = await readyModel(target, "audio.speech.create");
      const body = { model: model.id, voice: "alloy", input: "Hello.", response_format: "wav" };
      const answer = await target.probe.ask(path, { body, timeoutMs: generateTimeoutMs });
      mustBeStatus(answer, 200, `POST ${path}`);
      const type = answer.headers.get("content-type") ?? "none";
      if (!type.startsWith("audio/")) fail(`the content type is ${type}`);
      return looksLike(answer.bytes, type) ? pass(`${answer.bytes.length} bytes`) : fail(`the bytes are no ${type}`);
    },
  },
  {
    id: "speech.stream",
    title: "Sound as events is in pieces and ends with speech.audio.done",
    generates: true,
    async run(target) {
      const { model, path } = await streamingModelFor(target, "audio.speech.create");
      const body = { model, voice: "alloy", input: "Hello.", response_format: "wav", stream_format: "sse" };
      const events = await typedStream(target, path, body, ["speech.audio.done"]);
      const bytes = joined(events, "speech.audio.delta", "audio").length;
      return bytes > 0 ? pass(`${events.length} events`) : fail("no event carries sound");
    },
  },
  {
    id: "speech.cancel",
    title: "A client that leaves while sound is made ends its making within a second",
    generates: true,
    run: leaveSpeech,
  },
  {
    id: "transcriptions.answers",
    title: "A sound file becomes a transcript, as JSON and as plain text",
    generates: true,
    async run(target) {
      const { model, path } = await readyModel(target, "audio.transcriptions.create");
      const { text } = await mustTranscribe(target, path, { model: model.id });
      const body = form({ model: model.id, response_format: "text" }, soundFile());
      const plain = await target.probe.ask(path, { body, timeoutMs: generateTimeoutMs });
      mustBeStatus(plain, 200, "a plain transcript");
      const type = plain.headers.get("content-type") ?? "none";
      return type.startsWith("text/plain") ? pass(text.slice(0, 40)) : fail(`a plain transcript is ${type}`);
    },
  },
  {
    id: "transcriptions.stream",
    title: "A streamed transcript is deltas whose sum is the text at the end",
    generates: true,
    async run(target) {
      const { model, path } = await streamingModelFor(target, "audio.transcriptions.create");
      const events = await typedStream(target, path, form({ model, stream: "true" }, soundFile()), [
        "transcript.text.done",
      ]);
      const sum = joined(events, "transcript.text.delta", "delta");
      return sum === events.at(-1)?.text ? pass() : fail("the text at the end is not the sum of the deltas");
    },
  },
  {
    id: "translations.answers",
    title: "A sound file becomes a transcript in English",
    generates: true,
    async run(target) {
      const { model, path } = await readyModel(target, "audio.translations.create");
      await mustTranscribe(target, path, { model: model.id });
      return pass(model.id);
    },
  },
];

async function mustTranscribe(target: Target, path: string, fields: Readonly<Record<string, string>>) {
  const body = form(fields, soundFile());
  const answer = await askJson(target, path, { method: "POST", body, timeoutMs: generateTimeoutMs });
  return mustMatch(transcriptSchema, answer, "the transcript");
}

/** Sound is left when its first bytes have come, as by a listener who has heard enough. */
async function leaveSpeech(target: Target): Promise<Outcome> {
  const { metadata, model, path } = await readyModel(target, "audio.speech.create");
  const before = (await slotsBefore(target)) ?? skip("there is no gauge to see it by");
  const slots = Math.min(metadata.capabilities.max_concurrency ?? 1, slotsMax);
  const body = { model: model.id, voice: "alloy", input: sentence.repeat(60), response_format: "wav" };
  const long = { body, timeoutMs: generateTimeoutMs };
  const opened = await Promise.allSettled(Array.from({ length: slots }, () => target.probe.open(path, long)));
  for (const one of opened) if (one.status === "fulfilled") one.value.close();
  for (const one of opened) if (one.status === "rejected") throw one.reason;
  const tookMs = await mustStopWorking(target, before);
  return pass(`${tookMs} ms after ${slots} abandoned answers`);
}

/** A job is made, found again and deleted before it has cost much; nothing waits for its end. */
function jobCheck(kind: "videos" | "music"): Check {
  return {
    id: `${kind}.job`,
    title: `A job of ${kind} is named by its id, found by it, listed, and gone once deleted`,
    generates: true,
    async run(target) {
      const offered = (await target.metadata()).endpoints.map((endpoint) => endpoint.operation_id);
      const { model, path } = await readyModel(target, `${kind}.create`);
      const body = { model: model.id, prompt: "A grey square.", seconds: "4" };
      const made = mustMatch(jobSchema, await askJson(target, path, { method: "POST", body }), "the new job");
      const one = `${path}/${encodeURIComponent(made.id)}`;
      const seen = mustMatch(jobSchema, await askJson(target, one), "the job");
      if (seen.id !== made.id) fail(`asked for ${made.id}, got ${seen.id}`);
      if (offered.includes(`${kind}.list`)) await mustBeListed(target, path, made.id);
      if (!offered.includes(`${kind}.delete`)) return pass(seen.status);
      mustMatch(deletedJobSchema, await askJson(target, one, { method: "DELETE" }), "the deleted job");
      mustBeStatus(await target.probe.ask(one), 404, "a deleted job");
      return pass(seen.status);
    },
  };
}

/** A film that is not ready may be no ground for another one; then that is said. */
async function remix(target: Target): Promise<Outcome> {
  const { model, metadata } = await readyModel(target, "videos.remix");
  const { path } = operationById("videos.create");
  const body = { model: model.id, prompt: "A grey square.", seconds: "4" };
  const source = mustMatch(jobSchema, await askJson(target, path, { method: "POST", body }), "the first film");
  const one = (id: string) => `${path}/${encodeURIComponent(id)}`;
  const answer = await target.probe.ask(`${one(source.id)}/remix`, { method: "POST", body: { prompt: "Darker." } });
  const said = mustBeJson(answer, "the answer");
  const ids = [source.id];
  if (answer.status < 300) {
    const { id } = mustMatch(jobSchema, said, "the second film");
    if (id === source.id) fail("both films have one id");
    mustMatch(jobSchema, await askJson(target, one(id)), "the second film");
    ids.push(id);
  } else {
    if (answer.status !== 400 && answer.status !== 409) fail(`the status is ${answer.status}`);
    mustMatch(errorAnswerSchema, said, "the error body");
  }
  const canDelete = metadata.endpoints.some(({ operation_id: id }) => id === "videos.delete");
  if (canDelete) for (const id of ids) await target.probe.ask(one(id), { method: "DELETE" });
  return pass(ids.length > 1 ? "made" : "refused for now");
}

async function mustBeListed(target: Target, path: string, id: string): Promise<void> {
  const list = (await askJson(target, path)) as { data?: readonly { id?: unknown }[] };
  if (!Array.isArray(list.data) || !list.data.some((job) => job.id === id)) fail(`${id} is not in the list`);
}

/** A path of a job that nobody made. */
const noJob = "no-such-job";

const jobChecks: readonly Check[] = [
  jobCheck("videos"),
  jobCheck("music"),
  {
    id: "videos.remix",
    title: "A film that is made of a film has an id of its own, or is refused while the first is not ready",
    generates: true,
    run: remix,
  },
  {
    id: "jobs.unknown",
    title: "A job that nobody made is 404 in OpenAI's shape, its content too",
    async run(target) {
      const { endpoints } = await target.metadata();
      const ids: readonly RoutedOperationId[] = [
        "videos.retrieve",
        "videos.download_content",
        "music.retrieve",
        "music.download_content",
        "videos.remix",
      ];
      const offered = ids.filter((id) => endpoints.some((endpoint) => endpoint.operation_id === id));
      if (offered.length === 0) skip("the service keeps no jobs");
      await target.mustBeReady();
      for (const id of offered) {
        const { method, path: pattern } = operationById(id);
        const path = pattern.replace("{id}", noJob);
        const body = method === "POST" ? { body: { prompt: "A grey square." } } : {};
        const answer = await target.probe.ask(path, { method, ...body });
        mustBeStatus(answer, 404, `${method} ${path}`);
        mustMatch(errorAnswerSchema, mustBeJson(answer, path), "the error body");
      }
      return pass();
    },
  },
];

/** Operations that read or make pictures, sound, films and music. */
export const mediaChecks: readonly Check[] = [...pictureChecks, ...soundChecks, ...jobChecks];
