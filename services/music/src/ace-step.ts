import { NexusError } from "nexus/base";
import { createUpstream, type JobBackend, type JobOrder, type JobState } from "nexus/service-kit";
import { z } from "zod";

const title = "ACE-Step";
/** Everything comes in an envelope whose `code` is the status. */
const inEnvelope = <S extends z.ZodType>(data: S) => z.looseObject({ data });
const modelsSchema = inEnvelope(
  z.looseObject({ models: z.array(z.looseObject({ name: z.string(), is_default: z.boolean().optional() })) }),
);
const startedSchema = inEnvelope(z.looseObject({ task_id: z.string() }));
const taskSchema = z.looseObject({ task_id: z.string(), status: z.int(), result: z.string().nullish() });
const tasksSchema = inEnvelope(z.array(taskSchema));
const resultsSchema = z.array(z.looseObject({ file: z.string(), progress: z.number().nullish() }));

const [running, succeeded] = [0, 1];
/** It listens on the model's name, and may load it before it says that it has begun. */
const createMs = 120_000;
const typesByEnding: Readonly<Record<string, string>> = {
  mp3: "audio/mpeg",
  wav: "audio/wav",
  flac: "audio/flac",
  ogg: "audio/ogg",
  opus: "audio/ogg",
  aac: "audio/aac",
};

/** ACE-Step 1.5's API server (`acestep-api`). It has no way to stop a task: what is deleted here it makes to its end. */
export function createAceStep(baseUrl: string, key: string | undefined): JobBackend {
  const upstream = createUpstream({ baseUrl, title, key });
  const find = async (ref: string, signal: AbortSignal) => {
    const { data } = tasksSchema.parse(await upstream.json("/query_result", { json: { task_id_list: [ref] }, signal }));
    return data.find(({ task_id: id }) => id === ref);
  };
  return {
    title,
    vendor: "ACE Studio and StepFun",
    hint: "Start it, or say in NEXUS_MUSIC_URL where it is.",
    async look(signal) {
      const { data } = modelsSchema.parse(await upstream.json("/v1/models", { signal }));
      const byUse = data.models.toSorted((left, right) => Number(right.is_default) - Number(left.is_default));
      return { models: byUse.map(({ name }) => name) };
    },
    async create(order, signal) {
      const answer = await upstream.json("/release_task", { json: toTask(order), signal, timeoutMs: createMs });
      return startedSchema.parse(answer).data.task_id;
    },
    async state(ref, signal) {
      const task = await find(ref, signal);
      return task === undefined ? undefined : toState(task);
    },
    async content(ref, _query, signal) {
      const task = await find(ref, signal);
      const made = task === undefined ? undefined : resultsOf(task)[0]?.file;
      // A path on the server itself: its answers must not send this service anywhere else.
      if (made === undefined || !made.startsWith("/v1/audio?")) {
        throw new NexusError("not_found", `${title} does not have it any more.`);
      }
      const body = await upstream.open(made, { signal });
      if (body.statusCode === 200) return { contentType: typeOf(made), body };
      body.destroy();
      throw new NexusError("not_found", `${title} does not have the file any more.`);
    },
    async remove() {},
  };
}

function toTask({ model, prompt, seconds, fields }: JobOrder): object {
  const { lyrics, seed, response_format: format } = fields;
  return {
    model,
    prompt,
    lyrics: typeof lyrics === "string" ? lyrics : "",
    batch_size: 1,
    audio_format: typeof format === "string" ? format : "mp3",
    ...(seconds === null ? {} : { audio_duration: seconds }),
    ...(typeof seed === "number" ? { use_random_seed: false, seed } : {}),
  };
}

function toState(task: z.output<typeof taskSchema>): JobState {
  const [first] = resultsOf(task);
  if (task.status === running) return { status: "in_progress", progress: (first?.progress ?? 0) * 100 };
  if (task.status === succeeded && first !== undefined) return { status: "completed", progress: 100 };
  return { status: "failed", progress: 0, problem: `${title} could not make the music; its own log says why.` };
}

/** Results are JSON in a text; while nothing is there, an empty list or nothing. */
function resultsOf({ result }: z.output<typeof taskSchema>): z.output<typeof resultsSchema> {
  try {
    return resultsSchema.parse(JSON.parse(result ?? "[]"));
  } catch {
    return [];
  }
}

function typeOf(path: string): string {
  const place = new URLSearchParams(path.slice(path.indexOf("?") + 1)).get("path") ?? "";
  return typesByEnding[place.slice(place.lastIndexOf(".") + 1).toLowerCase()] ?? "audio/mpeg";
}
